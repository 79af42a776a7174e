"""What tests of the pages ask of a page and of the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.records.engine import transaction
from tests.builders import a_dicom, a_png


def stored(kind: Any) -> list[Any]:
    with transaction() as session:
        return list(session.scalars(select(kind)))


def rows(page: Any) -> list[str]:
    return [row.get_attribute("data-study") for row in page.locator("#rows tr[data-study]").all()]


def open_painted(page: Any, study_id: Any) -> None:
    page.goto(f"/studies/{study_id}")
    page.wait_for_selector("#viewer[data-state=full]")
    page.wait_for_timeout(600)  # signing keys sleep for half a second after the first paint


def listens(page: Any) -> None:
    """The list is live and has looked at what it missed; a hand is on it, so that it stays as it is."""
    page.wait_for_selector("#live[data-live=on]")
    page.wait_for_timeout(4000)
    page.mouse.move(400, 300)
    page.mouse.move(401, 300)


def hold_nothing(page: Any) -> None:
    """What this page opens is not held: its claims never arrive, as those of two who open a study at once."""
    page.route("**/opened", lambda route: route.abort())


def outcomes(page: Any) -> dict[str, str]:
    """What each file's row says, once every row has an outcome."""
    page.wait_for_function(
        "() => { const r = [...document.querySelectorAll('#rows tr')];"
        " return r.length > 0 && r.every((row) => row.dataset.outcome); }"
    )
    return {
        row.locator(".file").inner_text(): row.get_attribute("data-outcome")
        + ": "
        + row.locator(".outcome").inner_text()
        for row in page.locator("#rows tr").all()
    }


def write_files(folder: Path) -> list[Path]:
    """A DICOM file, a PNG, the same DICOM file again, and a web page that calls itself DICOM."""
    folder.mkdir(parents=True, exist_ok=True)
    first = a_dicom()
    files = {
        "one.dcm": first,
        "two.png": a_png(),
        "again.dcm": first,
        "page.dcm": b"<!doctype html><title>Sign in</title>" + b" " * 2000,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def drafts_kept(page: Any) -> list[str]:
    """The keys under which the tab keeps what was filled in."""
    keys: list[str] = page.evaluate(
        "() => Object.keys(sessionStorage).filter((key) => key.startsWith('draft:'))"
    )
    return keys
