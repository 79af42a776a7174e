"""A candidate tried on a file, in the reader's language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.blobs import Blobs
from app.domain.roles import Role
from app.records.engine import transaction
from tests.app.commands.candidates import a_stored_bundle, an_active_bundle
from tests.browser.conftest import SignIn
from tests.browser.test_languages import speak
from tests.builders import a_png

SAID = {
    "outcome": "screened",
    "reason": None,
    "notices": [],
    "findings": {
        "pneumonia": {"probability": 0.25, "lane": "abstain"},
        "station dust": {"probability": 0.5, "lane": "rule-in"},
    },
}


def test_what_a_candidate_finds_in_a_file_is_told_in_the_language_of_whoever_asks(
    signed_in: SignIn, blobs: Blobs, tmp_path: Path
) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
    page = signed_in("ada", Role.ADMINISTRATOR)
    speak("ada", "zh_Hans")

    def asked(route: Any) -> None:
        route.fulfill(status=202, json={"url": "/tried"})

    def told(route: Any) -> None:
        active = SAID | {"network": "drawn 1"}
        route.fulfill(json={"state": "done", "picture": "", "candidate": SAID, "active": active})

    page.route("**/tries", asked)
    page.route("**/tried", told)
    page.goto(f"/models/{candidate}")
    (tmp_path / "a.png").write_bytes(a_png())
    page.set_input_files("#try-files", tmp_path / "a.png")
    page.click("#try-form button")
    page.wait_for_selector("#tried dd")
    said = page.inner_text("#tried dd >> nth=0")
    assert said.startswith("肺炎 0.25 (")
    assert "station dust 0.50 (" in said, "a word that is none of ours stays as it is"
