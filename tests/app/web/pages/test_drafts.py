"""The draft of a study: kept and given back by the page's script, to its writer alone."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import review
from app.commands.review import Statement
from app.domain.roles import Role, Scope
from app.records import Draft
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, post
from tests.app.web.pages.test_signing import sign
from tests.builders import PASSWORD, a_key, a_screened_study, a_user, revision_of

COMMENT = "DRAFTZQXMARKED seen with <b>the mother</b>."


def keep(client: TestClient, study_id: UUID, page: str, **fields: Any) -> Response:
    said = {"revision": hidden(page, "revision"), "finding__pneumonia": "absent", "comment": COMMENT}
    return post(client, f"/studies/{study_id}/draft", page, **(said | fields))


def kept(client: TestClient, study_id: UUID) -> Any:
    answer = client.get(f"/studies/{study_id}/draft", headers=ACCEPT)
    assert answer.status_code == 200
    return answer.json()["draft"]


def test_what_is_filled_in_is_given_back_in_another_browser_and_to_nobody_else(
    browser: Browser, session: Any, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    study_id = study.study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    drawn = {"image": str(study.image_id), "finding": "pneumonia", "shape": "box"}
    marks = [drawn | {"x": 1.0, "y": 2.0, "width": 30.5, "height": 40.0}]
    assert keep(alice, study_id, page, marks=json.dumps(marks)).json() == {"kept": True}
    elsewhere = TestClient(alice.app, base_url="http://firstread.test")
    elsewhere.post("/sign-in", data={"username": "alice", "password": PASSWORD})
    draft = kept(elsewhere, study_id)
    elsewhere.close()
    assert (draft["findings"], draft["comment"], draft["marks"]) == ({"pneumonia": "absent"}, COMMENT, marks)
    assert (draft["moved"], draft["changes"]) == (False, [])
    assert kept(bob, study_id) is None
    for address in (f"/studies/{study_id}", f"/studies/{study_id}/now", f"/api/v1/studies/{study_id}", "/"):
        assert "DRAFTZQXMARKED" not in bob.get(address, headers=ACCEPT).text
    assert keep(bob, study_id, get(bob, f"/studies/{study_id}"), comment="His.").json() == {"kept": True}
    assert kept(alice, study_id)["comment"] == COMMENT
    assert kept(bob, study_id)["comment"] == "His."


def test_nothing_filled_in_discards_the_draft(browser: Browser, session: Any, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    keep(alice, study_id, page)
    for _ in range(2):
        assert post(alice, f"/studies/{study_id}/draft", page).json() == {"kept": False}
        assert kept(alice, study_id) is None


def test_a_signature_on_the_page_takes_the_draft(browser: Browser, session: Any, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    keep(alice, study_id, page)
    assert sign(alice, study_id, page=page, finding__pneumonia="absent").status_code == 303
    assert kept(alice, study_id) is None
    late = keep(alice, study_id, page)
    assert late.status_code == 409
    assert "signed this study since" in late.text
    assert kept(alice, study_id) is None


def test_a_draft_of_before_is_told_what_has_happened_since(
    browser: Browser, session: Any, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    keep(alice, study_id, get(alice, f"/studies/{study_id}"))
    with transaction() as its:
        review.sign(
            its,
            study_id=study_id,
            by=a_user(its, "bob", Role.RADIOLOGIST),
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": Statement.UNCERTAIN},
        )
    draft = kept(alice, study_id)
    assert draft["moved"]
    [change] = draft["changes"]
    assert change.startswith("bob signed at")
    assert "pneumonia uncertain" in change
    assert draft["comment"] == COMMENT


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"revision": ""}, 400),
        ({"revision": "two"}, 400),
        ({"finding__pneumonia": "perhaps"}, 400),
        ({"comment": "x" * 10_001}, 422),
        ({"marks": "no marks"}, 422),
        ({"comment": "x" * 2**20}, 413),
    ],
)
def test_what_cannot_be_kept_is_refused_and_that_of_before_stays(
    browser: Browser, session: Any, blobs: Blobs, fields: dict[str, Any], status: int
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    keep(alice, study_id, page)
    assert keep(alice, study_id, page, **fields).status_code == status
    assert kept(alice, study_id)["comment"] == COMMENT


def test_a_draft_needs_the_token_of_a_page_a_study_and_a_person(
    browser: Browser, client: TestClient, session: Any, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    fields = {"revision": hidden(page, "revision"), "comment": COMMENT}
    assert alice.post(f"/studies/{study_id}/draft", data=fields, headers=ACCEPT).status_code == 403
    assert keep(alice, uuid4(), page).status_code == 404
    assert alice.get(f"/studies/{uuid4()}/draft", headers=ACCEPT).status_code == 404
    with transaction() as its:
        key = {"Authorization": f"Bearer {a_key(its, 'ris', Scope.REVIEW)}"}
    assert client.post(f"/studies/{study_id}/draft", data=fields, headers=key | ACCEPT).status_code == 403
    assert session.scalars(select(Draft)).all() == []
