"""Reports as one HTML file each: pictures and styles are in it, and nothing is fetched from anywhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

_STYLES = ("base.css", "candidate.css")


def write_comparison(told: dict[str, Any], page: Path) -> Path:
    """What `firstread compare` found, with the pictures of the mistakes that lie beside ``page``.

    Each mistake's ``file`` becomes its ``picture_sha256``, the name by which the page knows it.
    """
    pictures = {}
    for mistake in told["detail"]["mistakes"]:
        name = mistake["picture_sha256"] = Path(mistake.pop("file")).name
        pictures[name] = base64.b64encode((page.parent / name).read_bytes()).decode()
    return _write(page, "report_comparison.html", told=told, pictures=pictures)


def write_evaluation(outcome: dict[str, Any], picture: Path, page: Path) -> Path:
    """What `firstread evaluate` found, with its picture."""
    drawn = base64.b64encode(picture.read_bytes()).decode()
    return _write(page, "report_evaluation.html", told=outcome, drawn=drawn)


def _write(page: Path, template: str, **context: Any) -> Path:
    from app.web import main
    from app.web.pages.render import fragment

    folder = Path(main.__file__).parent / "static" / "css"
    styles = "\n".join((folder / name).read_text(encoding="utf-8") for name in _STYLES)
    page.write_text(fragment(template, styles=styles, **context), encoding="utf-8")
    return page
