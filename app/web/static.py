"""Static files: named with a hash of their bytes they may be kept for ever, otherwise checked again."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
_HASH_LETTERS = 12
mimetypes.add_type("application/speculationrules+json", ".speculationrules")


class Static(StaticFiles):
    """The files below `app/web/static`; an address with the right `v` is immutable."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, and for how long it may be kept."""
        response = await super().get_response(path, scope)
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("v", [""])[0]
        fresh = asked and (FOLDER / path).is_file() and asked == _hash_of(path)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if fresh else "no-cache"
        return response


def static_url(path: str) -> str:
    """The address of a static file for pages: `/static/<path>?v=<hash of its bytes>`."""
    return f"/static/{path}?v={_hash_of(path)}"


def _hash_of(path: str) -> str:
    file = FOLDER / path
    return _hash_at(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _hash_at(file: Path, changed: int) -> str:  # noqa: ARG001  (a changed file is another key)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_HASH_LETTERS]
