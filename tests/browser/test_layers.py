"""What the layers see, in a browser: a stored image and a file, answered by the duty worker's own look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.blobs import Blobs
from app.domain.roles import Role
from tests.app.web.test_layers import promoted
from tests.browser.conftest import SignIn
from tests.builders import a_dicom, an_admitted_study


@pytest.fixture
def shown(looking: None, blobs: Blobs) -> None:
    """The shipped bundle reads, its map was tested, and somebody answers looks."""
    promoted(blobs, explanations={"passes": True, "finding": "pneumonia"})


def pictures(page: Any) -> list[bool]:
    page.wait_for_selector("text=Early layers", timeout=60_000)
    found: list[bool] = page.evaluate(
        "() => [...document.querySelectorAll('.grid img')].map((i) => i.complete && i.naturalWidth > 0)"
    )
    return found


def test_an_administrator_looks_into_a_study_and_into_a_file(
    signed_in: SignIn, shown: None, blobs: Blobs, tmp_path: Path
) -> None:
    page = signed_in("adam", Role.ADMINISTRATOR)
    study = an_admitted_study(blobs).study_id
    page.goto(f"/studies/{study}")
    page.click("text=What the layers see")
    page.keyboard.press("Tab")
    page.click("button:has-text('Look inside') >> nth=0")
    shown = pictures(page)
    assert len(shown) > 20
    assert all(shown)
    assert page.locator(".depth svg rect").count() == 25
    page.click("text=Another image")
    page.click("text=The newest images")
    (tmp_path / "page.dcm").write_bytes(b"<!doctype html><title>Sign in</title>" + b" " * 2000)
    page.set_input_files("#file", tmp_path / "page.dcm")
    page.click("text=Send and look inside")
    page.wait_for_selector("#file-problem:not([hidden])")
    assert "The file is a web page" in page.inner_text("#file-problem")
    (tmp_path / "chest.dcm").write_bytes(a_dicom())
    page.set_input_files("#file", tmp_path / "chest.dcm")
    page.click("text=Send and look inside")
    assert all(pictures(page))
