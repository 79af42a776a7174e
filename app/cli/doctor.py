"""`firstread doctor`: what is right and what is wrong, one line each, with what to do."""

from __future__ import annotations

import http.client
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.cli.refusals import in_words
from app.cli.running import service_url
from app.embedded.home import held
from app.embedded.refusal import DISK_RESERVE_BYTES, nearest_existing
from app.settings import Settings, settings


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `said` is a sentence or a figure."""

    name: str
    fine: bool
    said: str


class Wrong(Exception):
    """A check failed; `str(error)` says what and what to do."""


def doctor() -> int:
    """Prints one line per check; returns 0 when all is well, 1 otherwise."""
    all_fine = True
    for finding in _examine(settings()):
        print(f"{'ok   ' if finding.fine else 'WRONG'} {finding.name:18} {finding.said}", flush=True)
        all_fine = all_fine and finding.fine
    return 0 if all_fine else 1


def _examine(configured: Settings) -> Iterator[Finding]:
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("python", lambda _: f"{platform.python_version()} on {platform.machine()}, {sys.platform}"),
        ("disk", _disk),
        ("codecs", _codecs),
        ("network", _network),
        ("service", _service),
    ]
    running = configured.database_url is not None or held(configured.home)
    if running:
        checks += [("database", _database), ("broker", _broker), ("web server", _web)]
    for name, check in checks:
        try:
            yield Finding(name, True, check(configured))
        except Wrong as wrong:
            yield Finding(name, False, str(wrong))
        except Exception as error:  # noqa: BLE001, a doctor who faints helps nobody
            yield Finding(name, False, in_words(error) or _of_stranger(error))


def _disk(configured: Settings) -> str:
    free = shutil.disk_usage(nearest_existing(configured.home.absolute())).free
    if free < 4 * DISK_RESERVE_BYTES:
        raise Wrong(
            f"only {free / 1e9:.1f} GB are free where {configured.home.absolute()} lies; free some space."
        )
    return f"{free / 1e9:.0f} GB free at {configured.home.absolute()}"


def _codecs(_configured: Settings) -> str:
    import importlib.util

    modules = {
        "imagecodecs": "JPEG, JPEG lossless, JPEG 2000",
        "jpeg_ls": "JPEG-LS",
        "rle": "RLE",
        "openjpeg": "JPEG 2000",
        "gdcm": "the fallback",
    }
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Wrong(
            f"{', '.join(missing)} missing, so some transfer syntaxes cannot be decoded; run make run."
        )
    return "all decoders are installed"


def _network(configured: Settings) -> str:
    from models.bundle import Bundle, default_bundle_path

    bundle = Bundle.load(configured.bundle or default_bundle_path(), device=configured.device)
    return f"{bundle.manifest.name} {bundle.manifest.version} on {bundle.runtime}"


def _service(configured: Settings) -> str:
    if configured.database_url is not None:
        return "configured by FIRSTREAD_DATABASE_URL"
    if not held(configured.home):
        raise Wrong(f"FirstRead is not running on {configured.home.absolute()}; start it with make run.")
    return f"running on {configured.home.absolute()}"


def _database(_configured: Settings) -> str:
    from app.cli.prepare import schema_state
    from app.records.engine import transaction

    with transaction():
        pass
    present, wanted = schema_state()
    if present != wanted:
        raise Wrong(f"schema {present or 'none'} where {wanted} is needed; run firstread migrate.")
    return f"answers, schema {present}"


def _broker(configured: Settings) -> str:
    from app import queue

    queue.configure(configured)
    if not queue.ready():
        raise Wrong("does not answer; uploads are kept and screened once it does.")
    return "answers"


def _web(configured: Settings) -> str:
    url = service_url(configured)
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except OSError as error:
        raise Wrong(f"{url} does not answer: {error}") from error
    finally:
        connection.close()
    if status != 200:
        raise Wrong(f"{url}/readyz answers {status}; the logs say why.")
    return f"{url} is ready"


def _of_stranger(error: Exception) -> str:
    """What an error that no command expects says of itself; a refusal that is a sentence needs no type."""
    said = str(error)
    return said if said.endswith(".") else f"{type(error).__name__}: {said}"
