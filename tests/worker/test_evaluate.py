"""A candidate judged by a locked test: real bundles, drawn chests; the gate's word is kept."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import evaluation, promotion, registry
from app.domain.roles import SYSTEM, Role
from app.domain.snapshot import SnapshotRow
from app.errors import Conflict
from app.queries.jobs import JobShown, job
from app.records import AuditEvent, Evaluation
from app.records.engine import transaction
from models.bundle_file import MANIFEST, unseal
from models.detail import LEAST_PATIENTS
from tests.app.commands.candidates import a_snapshot
from tests.builders import a_dicom, a_user
from tests.models.conftest import Trained, draw_set, drawn, resealed, trained
from tests.worker.here import LearnerHere
from worker.learning.learner import Learner

__all__ = ["drawn", "trained"]


@pytest.fixture
def learner(database: str, broker: str, blobs: Blobs, tmp_path: Path) -> Iterator[Learner]:
    yield LearnerHere(blobs=blobs, folder=tmp_path / "jobs", name="tested")


def registered(blobs: Blobs, path: Path) -> str:
    members, _ = unseal(path)
    sha256 = blobs.put(path.read_bytes())
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=json.loads(members[MANIFEST]), by=SYSTEM)
    return sha256


def rows_of(blobs: Blobs, folder: Path, *, known_as: str) -> list[SnapshotRow]:
    """The drawn chests as a locked test; girls, one station for the first few."""
    with (folder / "manifest.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    return [
        SnapshotRow(
            path=blobs.put((folder / row["path"]).read_bytes()),
            label="NORMAL" if row["label"] == "NORMAL" else "pneumonia",
            patient_key=row["patient_key"].replace("p", known_as),
            split="test",
            source="import",
            media_type="image/png",
            age_years="3",
            sex="F",
            station="NEW" if number < 20 else "OLD",
        )
        for number, row in enumerate(listed)
    ]


def evaluated(learner: Learner, blobs: Blobs, candidate: str, rows: list[SnapshotRow]) -> JobShown:
    with transaction() as session:
        snapshot = a_snapshot(session, blobs, rows)
        job_id = evaluation.ask(session, candidate_sha256=candidate, snapshot_id=snapshot, by=SYSTEM)
    assert learner.drain(stop=threading.Event()) == 1
    with transaction() as session:
        return job(session, job_id=job_id)


def on_record(order: UUID) -> Evaluation:
    with transaction() as session:
        found = session.get_one(Evaluation, order)
        session.expunge(found)
        return found


def test_a_candidate_as_good_passes_and_one_that_calls_nothing_does_not(
    learner: Learner, blobs: Blobs, trained: Trained, tmp_path: Path
) -> None:
    unseen = draw_set(tmp_path / "unseen", patients=2 * LEAST_PATIENTS + 6)
    rows = rows_of(blobs, unseen, known_as="q")
    active = registered(blobs, trained.path)
    with transaction() as session:
        registry.promote(session, sha256=active, by=SYSTEM, reason="test")
    twin = registered(blobs, resealed(trained.path, tmp_path / "twin.bundle", version="2"))
    done = evaluated(learner, blobs, twin, rows)
    assert done.state == "done", done.said
    first = on_record(done.subject_id)
    lines = {line["name"]: line for line in first.gate}
    assert first.may_be_promoted, [line for line in first.gate if line["passes"] is not True]
    assert lines["labels"]["passes"] and lines["locked test"]["passes"]
    assert lines["sex F sensitivity"]["passes"] is True
    assert lines["view"]["passes"] is None, "no image states its view"
    assert lines["station NEW"] == {
        "name": "station NEW",
        "passes": None,
        "sentence": lines["station NEW"]["sentence"],
        "short_by": None,
        "blocks": False,
    }
    assert first.outcome["detail"]["curves"]["candidate"]["roc"][-1] == [1.0, 1.0]

    cuts: dict[str, Any] = {
        name: vars(cut) | {"operating_point": 0.999999, "rule_in": None}
        for name, cut in trained.manifest.thresholds.items()
    }
    silent = resealed(trained.path, tmp_path / "silent.bundle", version="3", thresholds=cuts)
    worse = registered(blobs, silent)
    second = on_record(evaluated(learner, blobs, worse, rows).subject_id)
    assert not second.may_be_promoted
    failed = {line["name"]: line["short_by"] for line in second.gate if line["passes"] is False}
    assert failed["sensitivity"] > 0.5
    mistakes = second.outcome["detail"]["mistakes"]
    assert mistakes and all(mistake["kind"] == "missed" for mistake in mistakes)
    assert blobs.read(mistakes[0]["picture_sha256"])[:2] == b"\xff\xd8"
    assert second.outcome["map_withheld"]
    with transaction() as session:
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
        promotion.set_people(session, people=1, by=ada)
        with pytest.raises(Conflict, match="does not pass the gate"):
            promotion.propose(session, blobs, sha256=worse, reason="no", by=ada)
        assert promotion.propose(session, blobs, sha256=twin, reason="newer", by=ada).promoted
        uses = session.scalars(select(AuditEvent).where(AuditEvent.action == "locked-test.used")).all()
        assert [use.details["candidate"] for use in uses] == [twin, worse]


def test_patients_whom_a_bundle_knows_judge_nothing(
    learner: Learner, blobs: Blobs, trained: Trained, tmp_path: Path
) -> None:
    active = registered(blobs, trained.path)
    with transaction() as session:
        registry.promote(session, sha256=active, by=SYSTEM, reason="test")
    twin = registered(blobs, resealed(trained.path, tmp_path / "twin.bundle", version="2"))
    known = rows_of(blobs, trained.data, known_as="p")
    strangers = rows_of(blobs, draw_set(tmp_path / "more", patients=12, side=120), known_as="q")
    dicom = SnapshotRow(
        path=blobs.put(a_dicom()),
        label="NORMAL",
        patient_key="r1",
        split="test",
        source="confirmed",
        media_type="application/dicom",
    )
    done = evaluated(learner, blobs, twin, [*known, *strangers, dicom])
    assert done.state == "done", done.said
    judged = on_record(done.subject_id)
    assert judged.outcome["learnt_from_left_out"] > 30
    flattered = judged.outcome["calibrated_on"]
    assert 0 < flattered["active"] == flattered["candidate"] < judged.outcome["asked"]
    lines = {line["name"]: line for line in judged.gate}
    assert lines["labels"]["passes"] is False and lines["labels"]["short_by"] == 1
    assert lines["patients"]["passes"] is None
    assert not judged.may_be_promoted


def test_what_cannot_be_compared_is_refused_and_no_use_of_the_test(
    learner: Learner, blobs: Blobs, trained: Trained, tmp_path: Path
) -> None:
    active = registered(blobs, trained.path)
    with transaction() as session:
        registry.promote(session, sha256=active, by=SYSTEM, reason="test")
    damaged = trained.path.read_bytes()[:-500]
    candidate = blobs.put(damaged)
    with transaction() as session:
        registry.register(session, sha256=candidate, manifest={"name": "cut", "version": "1"}, by=SYSTEM)
    over = evaluated(learner, blobs, candidate, rows_of(blobs, trained.data, known_as="q"))
    assert over.state == "refused"
    assert "not a whole bundle" in (over.said or "")
    with transaction() as session:
        assert session.scalars(select(Evaluation)).all() == []
