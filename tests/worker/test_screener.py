"""The round of a worker: claim, screen, record; and what becomes of a study when something breaks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from app.blobs import Blobs
from app.commands import delivery, registry, screening
from app.commands.intake import Admission
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.records import AuditEvent, Image, ImageReading, Reading, Study
from app.records.base import now
from app.records.engine import transaction
from models.bundle import Bundle, default_bundle_path
from models.bundle_file import MANIFEST, seal, unseal
from tests.builders import a_dicom, a_png, admit, an_admitted_study, claimed
from tests.worker.conftest import a_broken_dicom
from worker.screener import Screener


def study_of(admission: Admission) -> Study:
    with transaction() as session:
        return session.get_one(Study, admission.study_id)


def readings_of(admission: Admission) -> list[Reading]:
    with transaction() as session:
        statement = select(Reading).where(Reading.study_id == admission.study_id).order_by(Reading.read_at)
        return list(session.scalars(statement))


def admitted(blobs: Blobs, data: bytes, **arguments: Any) -> Admission:
    with transaction() as session:
        return admit(session, blobs, data, **arguments)


def make_due() -> None:
    """As if the pauses of postponed studies were over."""
    with transaction() as session:
        for study in session.scalars(select(Study).where(Study.screening_due)):
            study.screening_not_before = None


def another_bundle(folder: Path, **changes: Any) -> tuple[Path, str, dict[str, Any]]:
    """The shipped bundle with other words in its manifest: path, sha256, manifest."""
    members, _ = unseal(default_bundle_path())
    manifest = json.loads(members[MANIFEST]) | changes
    path = folder / "another.bundle"
    sha256 = seal(path, members | {MANIFEST: json.dumps(manifest).encode()})
    return path, sha256, manifest


def test_an_admitted_study_gets_a_reading_a_place_and_a_preview(
    blobs: Blobs, screener: Screener, bundle: Bundle
) -> None:
    admission = an_admitted_study(blobs)
    assert screener.drain() == 1
    study = study_of(admission)
    [reading] = readings_of(admission)
    assert study.state == State.SCREENED.value
    assert not study.screening_due
    assert study.screening_lease is None
    assert study.lane == reading.lane is not None
    assert reading.bundle_sha256 == bundle.manifest.sha256
    assert reading.runtime == bundle.runtime
    assert reading.findings["pneumonia"]["probability"] == pytest.approx(study.urgency)
    with transaction() as session:
        image = session.get_one(Image, admission.image_id)
        [said] = session.scalars(select(ImageReading).where(ImageReading.reading_id == reading.id))
        bias = {finding.name: finding.bias for finding in bundle.manifest.findings}["pneumonia"]
        maps = said.findings["pneumonia"]["activation_map"]
        assert sum(map(sum, maps)) + bias == pytest.approx(said.findings["pneumonia"]["logit"], abs=0.01)
    assert image.preview_sha256 is not None
    assert blobs.read(image.preview_sha256).startswith(b"\xff\xd8")


def test_a_poison_image_fails_at_once_and_delays_no_other(blobs: Blobs, screener: Screener) -> None:
    poison = admitted(blobs, a_broken_dicom())
    others = [an_admitted_study(blobs) for _ in range(3)]
    screener.drain()
    assert [study_of(other).state for other in others] == [State.SCREENED.value] * 3
    study = study_of(poison)
    assert study.state == State.FAILED.value
    assert "cannot be decoded" in (study.reason or "")
    assert not study.screening_due
    assert study.arrived_at - study.rank_at == timedelta(hours=8)


def test_a_study_is_withheld_with_the_gates_sentence_and_still_has_a_preview(
    blobs: Blobs, screener: Screener
) -> None:
    admission = an_admitted_study(blobs, patient_age="044Y")
    screener.drain()
    study = study_of(admission)
    assert study.state == State.WITHHELD.value
    assert (study.reason or "").startswith("The patient is 44 years old")
    with transaction() as session:
        assert session.get_one(Image, admission.image_id).preview_sha256 is not None


def test_one_passing_image_makes_a_study_screened(blobs: Blobs, screener: Screener) -> None:
    uid = "1.2.3.4"
    first = admitted(blobs, a_dicom(study_instance_uid=uid, patient_id="P"))
    second = admitted(
        blobs, a_dicom(study_instance_uid=uid, patient_id="P", tags={"ViewPosition": "LATERAL"})
    )
    screener.drain()
    assert study_of(first).state == State.SCREENED.value
    [reading] = readings_of(first)
    with transaction() as session:
        said = {
            row.image_id: row.outcome
            for row in session.scalars(select(ImageReading).where(ImageReading.reading_id == reading.id))
        }
    assert said == {first.image_id: "screened", second.image_id: "withheld"}


def test_a_declared_source_is_enough_where_the_age_is_unknown(
    blobs: Blobs, configure: Callable[..., None], make_screener: Callable[[], Screener], tmp_path: Path
) -> None:
    # Drawings are strangers to the shipped network; here it knows no strangers.
    configured, _, _ = another_bundle(tmp_path, familiarity={}, appearance={})
    configure(paediatric_sources="Children's Ward, other", bundle=configured)
    declared = an_admitted_study(blobs, patient_age=None, tags={"StationName": "Children's Ward"})
    undeclared = an_admitted_study(blobs, patient_age=None)
    picture = admitted(blobs, a_png())
    make_screener().drain()
    assert study_of(declared).state == State.SCREENED.value
    assert "age unknown" in readings_of(declared)[0].notices
    assert study_of(undeclared).state == State.WITHHELD.value
    assert study_of(picture).state == State.SCREENED.value
    assert "age unknown" in readings_of(picture)[0].notices


def test_missing_bytes_are_tried_again_and_then_the_study_fails_with_a_sentence(
    blobs: Blobs, screener: Screener
) -> None:
    admission = an_admitted_study(blobs)
    path = blobs.path(admission.sha256)
    away = path.rename(path.with_suffix(".away"))
    screener.drain()
    study = study_of(admission)
    assert study.state == State.ADMITTED.value
    assert study.screening_not_before is not None
    assert study.screening_not_before > now()
    for _ in range(3):
        make_due()
        screener.drain()
    study = study_of(admission)
    assert study.state == State.FAILED.value
    assert "missing" in (study.reason or "")
    assert not study.screening_due
    away.rename(path)
    with transaction() as session:
        assert screening.retry(session, study_id=admission.study_id)
    screener.drain()
    assert study_of(admission).state == State.SCREENED.value


def test_a_refused_bundle_fails_studies_with_its_sentence_and_the_worker_goes_on(
    blobs: Blobs, screener: Screener, bundle: Bundle
) -> None:
    admission = an_admitted_study(blobs)
    junk = blobs.put(b"not a bundle")
    with transaction() as session:
        registry.register(session, sha256=junk, manifest={"name": "junk", "version": "0"}, by=SYSTEM)
        registry.promote(session, sha256=junk, by=SYSTEM, reason="test")
    for _ in range(4):
        screener.drain()
        make_due()
    study = study_of(admission)
    assert study.state == State.FAILED.value
    assert (study.reason or "").startswith("The network could not be loaded.")
    with transaction() as session:
        sha256 = blobs.put(default_bundle_path().read_bytes())
        registry.register(session, sha256=sha256, manifest={"name": "good", "version": "1"}, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    screener.drain()
    assert study_of(admission).state == State.SCREENED.value
    assert readings_of(admission)[-1].bundle_sha256 == bundle.manifest.sha256


def test_a_promoted_bundle_reads_from_the_next_batch_on(
    blobs: Blobs, screener: Screener, tmp_path: Path, bundle: Bundle
) -> None:
    before = an_admitted_study(blobs)
    screener.drain()
    path, sha256, manifest = another_bundle(tmp_path, version="2")
    assert blobs.put(path.read_bytes()) == sha256
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="better")
    after = an_admitted_study(blobs)
    screener.drain()
    assert readings_of(before)[0].bundle_sha256 == bundle.manifest.sha256
    assert readings_of(after)[0].bundle_sha256 == sha256


def test_a_study_whose_worker_died_each_time_fails_and_takes_no_other_along(
    blobs: Blobs, screener: Screener
) -> None:
    killer = an_admitted_study(blobs)
    for _ in range(4):
        with transaction() as session:
            assert len(claimed(session, seconds=-1)) == 1
    other = an_admitted_study(blobs)
    with transaction() as session:
        assert [study.study_id for study in claimed(session, seconds=-1)] == [killer.study_id]
    screener.drain()
    assert study_of(killer).state == State.FAILED.value
    assert "ended unexpectedly" in (study_of(killer).reason or "")
    assert study_of(other).state == State.SCREENED.value


def test_a_worker_that_must_end_gives_back_what_it_holds(
    blobs: Blobs, screener: Screener, stop: threading.Event
) -> None:
    admission = an_admitted_study(blobs)
    stop.set()
    assert screener.drain() == 0
    study = study_of(admission)
    assert study.state == State.ADMITTED.value
    assert study.screening_lease is None
    assert study.screening_attempts == 0
    assert study.screening_due


def test_a_large_study_is_read_in_parts_and_recorded_as_one(blobs: Blobs, screener: Screener) -> None:
    uid = "1.2.3.5"
    admissions = [
        admitted(blobs, a_dicom(study_instance_uid=uid, patient_id="P", rows=200, columns=180))
        for _ in range(19)
    ]
    screener.drain()
    assert len({admission.study_id for admission in admissions}) == 1
    [reading] = readings_of(admissions[0])
    with transaction() as session:
        read = session.scalars(select(ImageReading).where(ImageReading.reading_id == reading.id)).all()
        events = session.scalars(
            select(AuditEvent.action)
            .where(AuditEvent.study_id == admissions[0].study_id, AuditEvent.action.like("study.%"))
            .order_by(AuditEvent.id)
        ).all()
    assert {row.image_id for row in read} == {admission.image_id for admission in admissions}
    assert list(events) == ["study.screening", "study.screened"]


def test_the_log_says_which_studies_a_batch_was(
    blobs: Blobs, make_screener: Callable[[], Screener], monkeypatch: pytest.MonkeyPatch
) -> None:
    admissions = [an_admitted_study(blobs) for _ in range(3)]
    with capture_logs() as log:
        make_screener().drain()
    lines = [line for line in log if line["event"] == "batch_screened"]
    assert sum(line["studies"] for line in lines) == 3
    named = [study for line in lines for study in line["study_ids"]]
    assert sorted(named) == sorted(str(admission.study_id) for admission in admissions)
    monkeypatch.setattr("worker.recorder._NAMED", 1)
    for _ in range(2):
        an_admitted_study(blobs)
    with capture_logs() as log:
        make_screener().drain()
    [line] = [line for line in log if line["event"] == "batch_screened"]
    assert (line["studies"], len(line["study_ids"])) == (2, 1)


def test_deliveries_are_rung_for_once_the_reading_is_committed(
    blobs: Blobs, screener: Screener, rung: list[str]
) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.test/hook", by=SYSTEM)
    an_admitted_study(blobs)
    screener.drain()
    with transaction() as session:
        assert [str(id_) for id_ in delivery.due(session)] == rung
