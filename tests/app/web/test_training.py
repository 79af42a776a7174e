"""Training runs over REST and on pages without scripts."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import jobs, registry, training
from app.domain.roles import SYSTEM, Role
from app.records import Job, TrainingRun
from app.records.engine import transaction
from models.finetune import GOING_ON, FinetuneSettings
from tests.app.commands.candidates import a_stored_bundle, an_active_bundle, an_evaluation
from tests.app.commands.test_training import ENOUGH, a_snapshot
from tests.app.web.conftest import SignIn
from tests.app.web.pages.forms import get, post, words

CURVE = {
    "event": "learning curve",
    "points": [
        {"share": share, "patients": patients, "images": patients, "auc": auc, "low": auc - 0.1, "high": 0.99}
        for share, patients, auc in ((0.25, 20, 0.8), (0.5, 40, 0.85), (1.0, 80, 0.9))
    ],
    "gain": {"value": 0.05, "low": 0.01, "high": 0.1},
    "says": "There are too few patients to tell whether more would help; with so few, more nearly always do.",
}
EPOCH: dict[str, Any] = {
    "event": "epoch",
    "epoch": 1,
    "of": 8,
    "loss": 0.5,
    "minutes": 2.5,
    "select_auc": {"plain": 0.97, "stress .66": 0.96, "stress 1": 0.95, "worst frame": 0.9},
}
TOLD = [
    {"event": "data", "images": 80, "parts": {"train": {"images": 70, "patients": 60}}, "notices": []},
    CURVE,
    {"event": "start", "select_auc": EPOCH["select_auc"] | {"plain": 0.9}},
    {"event": "step", "step": 10, "of": 80, "loss": 0.7},
    {"event": "step", "step": 20, "of": 80, "loss": 0.6},
    EPOCH,
    EPOCH | {"epoch": 2, "loss": 0.4},
]


@pytest.fixture
def admin(sign_in: SignIn) -> TestClient:
    return sign_in(Role.ADMINISTRATOR)


def test_a_run_is_asked_for_looked_at_and_cancelled_over_rest(admin: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        snapshot_id = str(a_snapshot(session, ENOUGH))
    asked = admin.post("/api/v1/training-runs", json={"snapshot_id": snapshot_id})
    assert asked.status_code == 202, asked.text
    run = asked.json()
    assert (run["state"], run["start"], run["mode"]) == ("waiting", "drawn 1", "quick")
    again = admin.post("/api/v1/training-runs", json={"snapshot_id": snapshot_id})
    assert again.json()["id"] == run["id"]
    assert [one["id"] for one in admin.get("/api/v1/training-runs").json()] == [run["id"]]
    assert admin.post(f"/api/v1/jobs/{run['job_id']}/cancel").status_code == 202
    shown = admin.get(f"/api/v1/training-runs/{run['id']}").json()
    assert (shown["job"]["cancel_asked"], shown["evaluation"]) == (True, None)
    assert admin.get(f"/api/v1/training-runs/{uuid4()}").status_code == 404
    refused = admin.post("/api/v1/training-runs", json={"snapshot_id": snapshot_id, "mode": "thorough"})
    assert refused.status_code == 422
    assert "time budget" in refused.json()["detail"]


def test_the_page_trains_and_a_second_press_leads_to_the_same_run(admin: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        snapshot_id = a_snapshot(session, ENOUGH)
    overview = get(admin, "/training")
    page = words(overview)
    assert "45 without finding, 40 pneumonia" in page
    assert "No training yet." in page
    order = {"snapshot": str(snapshot_id), "mode": "quick", "start": "", "budget_minutes": "30"}
    first = post(admin, "/training/runs", overview, **order)
    assert first.status_code == 303
    assert post(admin, "/training/runs", overview, **order).headers["location"] == first.headers["location"]
    run = words(get(admin, first.headers["location"]))
    assert "Waits for the training worker" in run
    assert "Begins with drawn 1" in run
    assert "waits for its turn" in words(get(admin, "/training/runs"))


def test_a_refusal_is_told_on_the_page_with_what_was_chosen(admin: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        snapshot_id = a_snapshot(session, {"train": {"NORMAL": 90}})
    order = {"snapshot": str(snapshot_id), "mode": "thorough", "budget_minutes": "10"}
    answer = post(admin, "/training/runs", get(admin, "/training"), **order)
    assert answer.status_code == 422
    assert "a network needs two to tell apart" in answer.text
    assert 'value="thorough" checked' in answer.text


def test_a_newcomer_is_told_what_to_do_first(admin: TestClient) -> None:
    page = words(get(admin, "/training"))
    assert "There is no snapshot yet." in page
    assert "Bring a dataset" in page


def test_a_run_at_work_shows_its_rounds_and_whether_more_data_would_help(
    admin: TestClient, blobs: Blobs
) -> None:
    with transaction() as session:
        run_id, job_id = a_run(session, blobs)
        claimed = jobs.claim(session, worker="tested", seconds=60)
        assert claimed is not None
        session.get_one(Job, job_id).told = TOLD
    page = words(get(admin, f"/training/runs/{run_id}"))
    assert "2 0.4000 0.9700 0.9600 0.9500 0.9000 2.5" in page
    assert "too few patients to tell whether more would help" in page
    assert "80 80 0.9000 0.8000 to 0.9900" in page
    assert "learnt from 70 60" in page


def test_the_form_and_the_run_say_that_training_ends_once_its_rounds_are_done(
    admin: TestClient, blobs: Blobs
) -> None:
    said = "All 8 rounds were done within the time"
    with transaction() as session:
        run_id, job_id = a_run(session, blobs)
        claimed = jobs.claim(session, worker="tested", seconds=60)
        assert claimed is not None
        session.get_one(Job, job_id).told = [EPOCH | {"epoch": 7}]
        jobs.end(session, job_id=job_id, worker="tested", state="done")
        session.get_one(TrainingRun, run_id).candidate_sha256 = a_stored_bundle(session, blobs, "2")
    assert said not in words(get(admin, f"/training/runs/{run_id}"))
    with transaction() as session:
        session.get_one(Job, job_id).told = [EPOCH | {"epoch": 8}]
    assert said in words(get(admin, f"/training/runs/{run_id}"))
    more, whole = GOING_ON.epochs, FinetuneSettings().epochs
    form = words(get(admin, "/training"))
    assert f"after {more} rounds from a network that has learnt, after {whole} from one that has not" in form


def test_a_thorough_training_from_imagenet_says_that_it_has_no_learning_curve(
    admin: TestClient, blobs: Blobs
) -> None:
    said = "Whether more data would help is not told of a thorough training from ImageNet"
    with transaction() as session:
        run_id, _ = a_run(session, blobs)
    assert said not in words(get(admin, f"/training/runs/{run_id}"))
    with transaction() as session:
        session.get_one(TrainingRun, run_id).start_sha256 = None
    assert said in words(get(admin, f"/training/runs/{run_id}"))


def test_a_run_that_is_over_leads_to_its_candidate(admin: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        run_id, _ = a_run(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
        claimed = jobs.claim(session, worker="tested", seconds=60)
        assert claimed is not None
        jobs.end(session, job_id=claimed.id, worker="tested", state="done")
        run = session.get_one(TrainingRun, run_id)
        run.candidate_sha256 = candidate
        figures = {"auc": 0.95, "sensitivity": 0.9}
        run.figures = {
            "finding": "pneumonia",
            "seconds": 51.2,
            "images": 4914,
            "images_per_second": 96.0,
            "held_out": {"pneumonia": {"plain": figures, "stressed": figures | {"auc": 0.9}}},
            "learning_curve": CURVE,
            "not_evaluated": "The snapshot has no locked test; freeze one whose test split has images.",
        }
    answer = admin.get(f"/training/runs/{run_id}")
    page = words(answer.text)
    assert f'href="/models/{candidate}"' in answer.text
    assert "4,914 images, 96.0 a second" in page
    assert "Pneumonia stressed 0.900 0.900" in page
    assert "The snapshot has no locked test" in page


def test_a_run_whose_candidate_was_judged_says_whether_it_may_be_promoted(
    admin: TestClient, blobs: Blobs
) -> None:
    with transaction() as session:
        run_id, _ = a_run(session, blobs, test_sha256="e" * 64)
        candidate = a_stored_bundle(session, blobs, "2")
        claimed = jobs.claim(session, worker="tested", seconds=60)
        assert claimed is not None
        jobs.end(session, job_id=claimed.id, worker="tested", state="done")
        run = session.get_one(TrainingRun, run_id)
        run.candidate_sha256, snapshot = candidate, run.snapshot_id
    answer = admin.get(f"/training/runs/{run_id}").text
    assert "promoted:" not in answer and "may not be promoted" not in answer, "nobody has judged it"
    with transaction() as session:
        an_evaluation(session, blobs, candidate, snapshot=snapshot, lost_of_right=0.5, patients_with=3)
    page = words(get(admin, f"/training/runs/{run_id}"))
    assert "It may not be promoted. It does not pass the gate on the locked test of" in page
    assert "3 patients with pneumonia and 60 without it; 50 of each are needed." in page
    assert "below" not in page.split("It may not be promoted.")[1].split("The gate, line by line")[0]
    with transaction() as session:
        an_evaluation(session, blobs, candidate, snapshot=snapshot)
    answer = admin.get(f"/training/runs/{run_id}").text
    assert "It may be promoted: it passes every line of the gate beside drawn 1" in words(answer)
    assert "Of 2 lines it cannot be told: too few patients." in words(answer)
    assert answer.count(f'href="/models/{candidate}"') == 2
    assert "It may be promoted: it passes every line" in words(get(admin, f"/models/{candidate}"))
    with transaction() as session:
        registry.promote(session, sha256=candidate, by=SYSTEM, reason="better")
    page = words(get(admin, f"/training/runs/{run_id}"))
    assert "reads now." in page and "promoted:" not in page


def test_a_run_that_failed_says_why_and_that_the_network_stayed(admin: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        run_id, _ = a_run(session, blobs)
        claimed = jobs.claim(session, worker="tested", seconds=60)
        assert claimed is not None
        said = "The disk is full; nothing was changed. Make room and ask again."
        jobs.end(session, job_id=claimed.id, worker="tested", state="failed", said=said)
    page = words(get(admin, f"/training/runs/{run_id}"))
    assert said in page
    assert "The network that reads now was not touched by this." in page
    with transaction() as session:
        assert session.scalars(select(TrainingRun)).one().candidate_sha256 is None


def a_run(session: Any, blobs: Blobs, **of_snapshot: Any) -> tuple[Any, Any]:
    an_active_bundle(session, blobs)
    return training.ask(
        session,
        snapshot_id=a_snapshot(session, ENOUGH, **of_snapshot),
        mode="thorough",
        budget_minutes=30,
        by=SYSTEM,
    )
