"""Somebody new to an empty worklist sends the first study with what the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from app.domain.roles import Role
from app.records import ApiKey
from app.records.engine import transaction
from tests.browser.conftest import REPOSITORY, SignIn
from tests.browser.pages import rows
from tests.builders import a_dicom


@pytest.mark.parametrize("line", ["rest", "stow", "send"])
def test_each_line_on_an_empty_worklist_sends_a_study_as_it_stands(
    signed_in: SignIn, tmp_path: Path, line: str
) -> None:
    page = signed_in("root", Role.ADMINISTRATOR)
    page.click("text=Make a key that may send")
    page.wait_for_selector("text=shown this once")
    script = page.inner_text("pre >> nth=0") + "\n" + page.inner_text(f"pre[data-line={line}]")
    (tmp_path / "chest.dcm").write_bytes(a_dicom())
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "firstread").write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli "$@"\n')
    (bin_ / "firstread").chmod(0o755)
    sent = subprocess.run(
        ["/bin/bash", "-ec", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert sent.returncode == 0, sent.stderr
    page.click("text=To the worklist")
    page.wait_for_selector("#rows tr[data-study]")
    assert len(rows(page)) == (3 if line == "send" else 1)


def test_only_lines_that_work_are_shown_and_what_has_none_is_said(signed_in: SignIn) -> None:
    page = signed_in("root", Role.ADMINISTRATOR)
    lines = [line.get_attribute("data-line") for line in page.locator("main pre").all()]
    assert lines == ["rest", "stow", "send"], "each of them is run above"
    assert "The DICOM listener does not answer at the moment" in page.inner_text("main")


def test_the_key_may_send_only_and_is_shown_once(signed_in: SignIn) -> None:
    page = signed_in("root", Role.ADMINISTRATOR)
    page.click("text=Make a key that may send")
    page.wait_for_selector("text=shown this once")
    with transaction() as session:
        key = session.scalars(select(ApiKey)).one()
    assert key.scopes == ["intake"]
    page.goto("/")
    assert "shown this once" not in page.inner_text("main")


def test_who_may_make_no_key_is_told_who_may(signed_in: SignIn) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    assert page.locator("text=Make a key that may send").count() == 0
    assert "which an administrator makes" in page.inner_text("main")
