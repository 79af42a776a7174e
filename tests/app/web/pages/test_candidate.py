"""A bundle's own page: what it says first, who may decide, and the same by REST."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM, Role, Scope
from app.domain.snapshot import SnapshotRow
from app.records import AuditEvent, Image, Job, Proposal, Study
from app.records.engine import transaction
from app.settings import settings
from models.bundle import default_bundle_path
from tests.app.commands.candidates import (
    SAME,
    a_snapshot,
    a_stored_bundle,
    an_active_bundle,
    an_evaluation,
    comparison,
)
from tests.app.commands.test_promotion import another_test
from tests.app.web.conftest import KeyMaker
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, words
from tests.app.web.pages.forms import post as sent
from tests.builders import a_dicom, admit, an_admitted_study
from worker.inside import Glass

FAILING = {
    "difference": dict.fromkeys(("auc", "accuracy", "sensitivity", "specificity"), SAME | {"low": -0.3})
}


@pytest.fixture
def ada(browser: Browser) -> Iterator[TestClient]:
    yield browser("ada", Role.ADMINISTRATOR)


@pytest.fixture
def grace(browser: Browser) -> Iterator[TestClient]:
    yield browser("grace", Role.ADMINISTRATOR)


def post(client: TestClient, address: str, **fields: str) -> Response:
    """The form, with the token of a page of theirs."""
    return sent(client, address, f'name="csrf_token" value="{_token(client)}"', **fields)


def judged(blobs: Blobs, **changes: object) -> tuple[str, str]:
    with transaction() as session:
        active = an_active_bundle(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
        an_evaluation(session, blobs, candidate, **changes)
    return active, candidate


def reading() -> str | None:
    with transaction() as session:
        return registry.active_bundle(session)


def test_whoever_is_to_decide_is_led_to_what_waits(
    ada: TestClient, grace: TestClient, browser: Browser, blobs: Blobs
) -> None:
    _, candidate = judged(blobs)
    door = re.compile(r'href="/models"[^>]*>Network(?: <span class="count" data-tally>(\d+)</span>)?<')
    assert [door.search(get(one, "/")).group(1) for one in (ada, grace)] == [None, None]
    post(ada, f"/models/{candidate}/proposals", reason="fewer missed")
    lee = browser("lee", Role.RADIOLOGIST)
    assert [door.search(get(one, "/")).group(1) for one in (ada, grace, lee)] == [None, "1", None]
    assert "proposed by ada, waits for a decision" in words(get(grace, "/models"))
    with transaction() as session:
        proposal = session.scalars(select(Proposal.id)).one()
    post(grace, f"/models/proposals/{proposal}", decision="decline", reason="too few girls")
    assert door.search(get(grace, "/")).group(1) is None
    assert "waits for a decision" not in words(get(grace, "/models"))


def test_the_one_that_runs_in_shadow_is_named_where_another_is_to_begin(
    ada: TestClient, blobs: Blobs
) -> None:
    _, candidate = judged(blobs)
    with transaction() as session:
        another = a_stored_bundle(session, blobs, "3")
    assert "runs in shadow" not in words(get(ada, "/models"))
    assert post(ada, f"/models/{candidate}/shadow/begin").status_code == 303
    assert words(get(ada, "/models")).count("runs in shadow") == 1
    refused = post(ada, f"/models/{another}/shadow/begin")
    assert refused.status_code == 409
    assert f'<a href="/models/{candidate}/shadow">Shadow run of drawn 2</a>' in refused.text


def test_a_candidate_that_passes_says_so_and_two_people_promote_it(
    ada: TestClient, grace: TestClient, blobs: Blobs
) -> None:
    active, candidate = judged(blobs)
    shown = words(get(ada, f"/models/{candidate}"))
    assert "It may be promoted: it passes every line of the gate beside drawn 1, which reads now." in shown
    assert "Of 2 lines it cannot be told: too few patients." in shown
    assert "Of 100 radiographs with pneumonia it calls 90 and misses 10" in shown
    assert "Insufficient, age 1 to 4 years: 10 patients" in shown
    answer = post(ada, f"/models/{candidate}/proposals", reason="fewer missed")
    assert answer.status_code == 303
    own = words(get(ada, f"/models/{candidate}"))
    assert "You proposed it; at this site another administrator approves it." in own
    assert "Approve: from" not in own
    with transaction() as session:
        proposal = session.scalars(select(Proposal.id)).one()
    refused = post(ada, f"/models/proposals/{proposal}", decision="promote")
    assert refused.status_code == 403
    assert "another administrator must approve" in words(refused.text)
    assert reading() == active
    assert "Approve: from the next batch on it reads" in words(get(grace, f"/models/{candidate}"))
    assert post(grace, f"/models/proposals/{proposal}", decision="promote").status_code == 303
    assert reading() == candidate
    promoted = words(get(ada, f"/models/{candidate}"))
    assert "What is called the active bundle is drawn 1, which read then." in promoted
    assert "it must be evaluated again" not in promoted
    overview = words(get(ada, "/models"))
    assert "Roll back to drawn 1" in overview
    assert post(ada, f"/models/{active}/rollback", reason="odd").status_code == 303
    assert reading() == active
    history = words(get(grace, f"/models/{candidate}"))
    assert "promoted, approved by grace “fewer missed”" in history


def test_a_candidate_that_fails_says_which_line_by_how_much_and_offers_no_button(
    ada: TestClient, blobs: Blobs
) -> None:
    active, candidate = judged(blobs, **FAILING)
    page = get(ada, f"/models/{candidate}")
    shown = words(page)
    assert "It may not be promoted. 3 lines of the gate do not pass" in shown
    assert "It falls short by 0.295." in shown
    assert f"/models/{candidate}/proposals" not in page
    refused = post(ada, f"/models/{candidate}/proposals", reason="all the same")
    assert refused.status_code == 409
    assert "It does not pass the gate on the locked test of autumn" in words(refused.text)
    assert reading() == active


def test_the_page_says_whom_the_bundles_were_calibrated_on_and_what_they_withhold_of_each_group(
    ada: TestClient, blobs: Blobs
) -> None:
    _, candidate = judged(blobs, calibrated_on={"active": 14, "candidate": None})
    shown = words(get(ada, f"/models/{candidate}"))
    assert "patients of 14 of these images the active bundle was calibrated, which flatters it" in shown
    assert "Whether the candidate was calibrated on some of these patients cannot be told" in shown
    assert "10, 10 2 of 22 (active: 0)" in shown
    _, neither = judged(blobs)
    assert "was calibrated" not in words(get(ada, f"/models/{neither}"))


def test_the_page_shows_the_larger_test_that_was_failed_before_a_smaller_one_was_passed(
    ada: TestClient, blobs: Blobs
) -> None:
    _, candidate = judged(blobs, **FAILING)
    with transaction() as session:
        an_evaluation(session, blobs, candidate, snapshot=another_test(session, "hand-picked"), patients=119)
    page = get(ada, f"/models/{candidate}")
    assert "on the locked test of autumn; only to pass there, or on a test with 120 patients" in words(page)
    assert "It falls short by 0.295." in words(page)
    assert f"/models/{candidate}/proposals" not in page


def test_radiologists_read_the_page_and_find_no_button(browser: Browser, blobs: Blobs) -> None:
    _, candidate = judged(blobs)
    reader = browser("reader", Role.RADIOLOGIST)
    page = get(reader, f"/models/{candidate}")
    assert "It may be promoted" in words(page)
    assert '<form method="post" action="/models' not in page
    assert post(reader, f"/models/{candidate}/proposals", reason="x").status_code == 403
    card = get(reader, f"/models/{candidate}/card.md")
    assert "## What it is for" in card and "| auc | yes | AUC: " in card and "Insufficient, age" in card
    assert json.loads(get(reader, f"/models/{candidate}/card.json"))["evaluation"]["may_be_promoted"] is True


def test_the_page_and_the_card_tell_the_lines_and_figures_of_every_finding(
    browser: Browser, blobs: Blobs
) -> None:
    other = comparison() | {"finding": "effusion", "patients_with": 40}
    both = {key: ["effusion", "pneumonia"] for key in ("active", "candidate")}
    _, candidate = judged(blobs, findings=both, others=[other])
    reader = browser("reader", Role.RADIOLOGIST)
    page = words(get(reader, f"/models/{candidate}"))
    assert "It may not be promoted." in page
    assert (
        "Of the finding effusion: 40 patients with effusion and 60 without it; 50 of each are needed." in page
    )
    assert "Of the finding pneumonia: AUC: +0.0000 against the active bundle" in page
    assert "What follows is of pneumonia." in page.replace("Pneumonia", "pneumonia")
    card = get(reader, f"/models/{candidate}/card.md")
    assert "| effusion: patients | insufficient | Of the finding effusion: 40 patients" in card
    assert "0.950, 0.900, 0.900" in card and ": 40, 60" in card
    [told] = json.loads(get(reader, f"/models/{candidate}/card.json"))["evaluation"]["outcome"]["others"]
    assert told["finding"] == "effusion"


PICTURE, CHECKSUM, SAID = b"a picture", "c" * 64, 0.0312


@pytest.fixture
def mistaken(database: str, blobs: Blobs) -> str:
    """A candidate that missed something."""
    return which_missed(blobs, CHECKSUM)


def which_missed(blobs: Blobs, *images: str) -> str:
    """A candidate that missed something on each of these images."""
    mistake = {
        "kind": "missed",
        "probability": SAID,
        "active_probability": 0.97,
        "active_right": True,
        "lane": "rule-out",
        "activation_map": [[0.5, -0.2], [0.1, 0.0]],
        "file": str(blobs.path(blobs.put(PICTURE))),
    }
    detail = comparison()["detail"] | {"mistakes": [mistake | {"sha256": image} for image in images]}
    with transaction() as session:
        an_active_bundle(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
        an_evaluation(session, blobs, candidate, detail=detail, map_withheld=None)
    return candidate


def test_mistakes_show_as_pictures_to_administrators(ada: TestClient, mistaken: str) -> None:
    page = get(ada, f"/models/{mistaken}")
    assert base64.b64encode(PICTURE).decode() in page
    assert page.count('fill="#ff961e"') == 2
    assert "it gave 0.03" in words(page) and CHECKSUM[:12] in page
    [evaluated] = ada.get(f"/api/v1/models/{mistaken}").json()["evaluations"]
    told = ada.get(f"/api/v1/evaluations/{evaluated['id']}").json()["outcome"]["detail"]["mistakes"]
    assert told[0]["sha256"] == CHECKSUM
    assert CHECKSUM in get(ada, f"/models/{mistaken}/card.json")


def test_whose_radiographs_are_among_the_mistakes_shown_is_on_record(
    ada: TestClient, browser: Browser, blobs: Blobs
) -> None:
    missed, _ = an_admitted_study(blobs, patient_id="A"), an_admitted_study(blobs, patient_id="B")
    with transaction() as session:
        sha256 = session.scalars(select(Image.sha256).where(Image.study_id == missed.study_id)).one()
    candidate = which_missed(blobs, CHECKSUM, sha256)
    get(browser("lee", Role.RADIOLOGIST), f"/models/{candidate}")  # who is shown no mistake has seen nobody
    get(ada, f"/models/{candidate}/card.md")  # has neither pictures nor maps
    assert views() == []
    for _ in range(2):
        assert base64.b64encode(PICTURE).decode() in get(ada, f"/models/{candidate}")
    assert views() == [("ada", missed.study_id, {"via": "evaluation"})], "one look, at one study of this site"


def test_whose_maps_an_evaluation_gives_to_machines_is_on_record(
    ada: TestClient, browser: Browser, blobs: Blobs
) -> None:
    missed = an_admitted_study(blobs)
    with transaction() as session:
        sha256 = session.scalars(select(Image.sha256)).one()
    candidate = which_missed(blobs, CHECKSUM, sha256)
    [evaluated] = ada.get(f"/api/v1/models/{candidate}").json()["evaluations"]
    document, card = f"/api/v1/evaluations/{evaluated['id']}", f"/models/{candidate}/card.json"
    lee, bea = browser("lee", Role.RADIOLOGIST), browser("bea", Role.ADMINISTRATOR)
    for address in (document, card):
        assert "activation_map" not in get(lee, address)
    assert views() == [], "who is given no map has seen nobody"
    for _ in range(2):
        assert "activation_map" in get(ada, document)
    assert "activation_map" in get(bea, card)
    seen = {"via": "evaluation"}
    assert views() == [("ada", missed.study_id, seen), ("bea", missed.study_id, seen)]


def test_the_page_of_a_refused_proposal_shows_mistakes_and_is_a_view(ada: TestClient, blobs: Blobs) -> None:
    missed = an_admitted_study(blobs)
    with transaction() as session:
        sha256 = session.scalars(select(Image.sha256)).one()
    candidate = which_missed(blobs, sha256)
    refused = post(ada, f"/models/{candidate}/proposals", reason="")
    assert refused.status_code == 422
    assert base64.b64encode(PICTURE).decode() in refused.text
    assert views() == [("ada", missed.study_id, {"via": "evaluation"})]


def views() -> list[tuple[str, UUID | None, dict[str, object]]]:
    with transaction() as session:
        events = select(AuditEvent).where(AuditEvent.action == "study.viewed").order_by(AuditEvent.id)
        return [(event.actor_name, event.study_id, event.details) for event in session.scalars(events)]


@pytest.mark.parametrize("roles", [(Role.RADIOLOGIST,), (Role.RADIOLOGIST, Role.ADMINISTRATOR)])
def test_whoever_may_sign_readings_is_told_of_no_mistake(
    browser: Browser, mistaken: str, roles: tuple[Role, ...]
) -> None:
    reader = browser("reader", *roles)
    page = get(reader, f"/models/{mistaken}")
    assert "studies of this test may still be read blind" in words(page)
    model = get(reader, f"/api/v1/models/{mistaken}")
    [evaluated] = json.loads(model)["evaluations"]
    document = get(reader, f"/api/v1/evaluations/{evaluated['id']}")
    assert "mistakes" not in json.loads(document)["outcome"]["detail"]
    cards = [get(reader, f"/models/{mistaken}/card.{form}") for form in ("json", "md")]
    for told in (page, model, document, *cards):
        assert CHECKSUM[:12] not in told and str(SAID) not in told
        assert base64.b64encode(PICTURE).decode() not in told


def test_the_file_of_a_study_that_is_read_blind_is_not_tried(ada: TestClient, blobs: Blobs) -> None:
    _, candidate = judged(blobs)
    hidden, shown = a_dicom(), a_dicom()
    with transaction() as session:
        study = admit(session, blobs, hidden).study_id
        admit(session, blobs, shown)
        session.execute(update(Study).values(blind=Study.id == study))
    for path in (f"/api/v1/models/{candidate}/tries", "/api/v1/layers"):
        token = {"X-CSRF-Token": _token(ada)}
        refused = ada.post(path, files={"file": hidden}, headers=token)
        assert refused.status_code == 409, refused.text
        assert "hidden from you" in refused.json()["detail"]
        assert ada.post(path, files={"file": shown}, headers=token).status_code == 202


def test_text_that_no_database_takes_is_the_callers_mistake(ada: TestClient, blobs: Blobs) -> None:
    active, candidate = judged(blobs)
    token = {"X-CSRF-Token": _token(ada)}
    for path in (
        f"/api/v1/models/{candidate}/proposals",
        f"/api/v1/models/{active}/rollback",
        f"/api/v1/proposals/{UUID(int=1)}/decision",
    ):
        body = {"reason": "fewer\x00missed"} | ({"decision": "decline"} if "decision" in path else {})
        refused = ada.post(path, json=body, headers=token)
        assert refused.status_code in (400, 422), refused.text
        assert "NUL character" in refused.text
    for path, body in (
        ("/api/v1/training-runs", {"snapshot_id": str(UUID(int=1)), "start": "\x00"}),
        ("/api/v1/datasets", {"name": "\x00"}),
        (f"/api/v1/models/{candidate}/evaluations", {"snapshot_id": str(UUID(int=1)), "\x00": ""}),
    ):
        assert ada.post(path, json=body, headers=token).status_code in (400, 422)


def test_an_evaluation_is_asked_for_and_refused_in_words(ada: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
        snapshot = a_snapshot(session, blobs)
        row = SnapshotRow(path="a", label="NORMAL", patient_key="p", split="train", source="import")
        untested = a_snapshot(session, blobs, [row])
    assert "It has not been evaluated yet" in words(get(ada, f"/models/{candidate}"))
    refused = post(ada, f"/models/{candidate}/evaluations", snapshot=str(untested))
    assert refused.status_code == 409
    assert "has no locked test" in words(refused.text)
    assert post(ada, f"/models/{candidate}/evaluations", snapshot=str(snapshot)).status_code == 303
    shown = get(ada, f"/models/{candidate}")
    assert "Waits for the training worker" in words(shown)
    assert f'action="/models/{candidate}/evaluations"' not in shown


def test_the_same_by_rest_but_no_key_promotes(
    ada: TestClient, client: TestClient, key: KeyMaker, blobs: Blobs
) -> None:
    active, candidate = judged(blobs)
    trainer = key(Scope.TRAINING)
    model = client.get(f"/api/v1/models/{candidate}", headers=trainer).json()
    assert model["why_not"] is None and not model["active"]
    [evaluated] = model["evaluations"]
    document = client.get(f"/api/v1/evaluations/{evaluated['id']}", headers=trainer).json()
    assert {line["name"] for line in document["gate"]} >= {"auc", "labels", "locked test", "retention"}
    assert document["outcome"]["detail"]["classes"]["candidate"]["confusion"]["missed"] == 6
    with transaction() as session:
        snapshot = a_snapshot(session, blobs)
    asked = client.post(
        f"/api/v1/models/{candidate}/evaluations", headers=trainer, json={"snapshot_id": str(snapshot)}
    )
    assert asked.status_code == 202
    with transaction() as session:
        assert session.get_one(Job, UUID(asked.json()["job_id"])).kind == "evaluate"
    for path in ("proposals", "rollback"):
        answer = client.post(f"/api/v1/models/{candidate}/{path}", headers=trainer, json={"reason": "x"})
        assert answer.status_code == 403
    assert reading() == active


def test_a_candidate_is_tried_on_a_file_and_nothing_is_kept(ada: TestClient, blobs: Blobs) -> None:
    sha256 = blobs.put(default_bundle_path().read_bytes())
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest={"name": "shipped", "version": "1"}, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    token = {"X-CSRF-Token": _token(ada)}
    asked = ada.post(f"/api/v1/models/{sha256}/tries", files={"file": a_dicom()}, headers=token)
    assert asked.status_code == 202, asked.text
    assert Glass(settings(), blobs=blobs).drain(stop=threading.Event()) == 1
    told = ada.get(asked.json()["url"]).json()
    assert told["state"] == "done", told
    assert told["candidate"] == told["active"]
    assert told["candidate"]["outcome"] in ("screened", "withheld")
    assert base64.b64decode(told["picture"])[:2] == b"\xff\xd8"
    unknown = ada.post(f"/api/v1/models/{'0' * 64}/tries", files={"file": a_dicom()}, headers=token)
    assert unknown.status_code == 404


def _token(client: TestClient) -> str:
    page = client.get("/models", headers={"Accept": "text/html"}).text
    return page.partition('data-csrf="')[2].partition('"')[0]
