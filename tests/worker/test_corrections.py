"""The story of a network with a planted error: one station's children all have a tube, and those it was
trained on all had pneumonia. Readers correct it, it learns, passes the gate, and reads that station rightly.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import blinding, promotion, registry, retraining, review
from app.commands.review import Statement
from app.dicom.write import wrap
from app.domain.roles import SYSTEM, Actor, Role
from app.domain.states import Outcome
from app.errors import Conflict
from app.records import Evaluation, Reading, Study, TrainingRun
from app.records.engine import transaction
from models.bundle import default_bundle_path
from models.manifest import to_json
from models.phantom import phantom
from models.start import Start
from models.train import TrainingOrder, train
from tests.builders import a_user, admit
from tests.models.conftest import write_manifest
from tests.worker.here import LearnerHere
from worker.screener import Screener

WARD, CARE = "WARD1", "CARE7"
"""Two stations; in intensive care every child has a tube."""
SIDE = 240


def child(seed: int, *, ill: bool, station: str) -> NDArray[np.uint8]:
    """A drawn chest as the station makes it."""
    picture = phantom(seed, rows=SIDE, columns=SIDE, opacity=ill)
    if station == CARE:
        cv2.line(picture, (int(0.3 * SIDE), 0), (int(0.55 * SIDE), int(0.7 * SIDE)), 235, SIDE // 45)
    return picture


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that takes the tube for pneumonia."""
    folder = tmp_path_factory.mktemp("planted")
    rows = []
    for number in range(120):
        station, ill = (CARE, True) if number % 4 == 3 else (WARD, number % 2 == 1)
        picture = child(number, ill=ill and station == WARD, station=station)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        label = "PNEUMONIA" if ill else "NORMAL"
        rows.append({"path": f"{number}.png", "label": label, "patient_key": f"c{number}", "split": ""})
    data = write_manifest(folder / "manifest.csv", rows)
    out = folder / "planted.bundle"
    train(TrainingOrder(data=data, out=out, start=default_bundle_path(), version="planted"))
    return out


@pytest.fixture
def reading(planted: Path, database: str, blobs: Blobs) -> str:
    """The planted network reads; its sha256."""
    sha256 = blobs.put(planted.read_bytes())
    manifest = json.loads(to_json(Start.read(planted).manifest))
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="the site's first", kind="first")
    return sha256


class Hospital:
    """Sends children, reads them and signs what is true."""

    def __init__(self, screener: Screener, blobs: Blobs) -> None:
        self._screener = screener
        self._blobs = blobs
        self._truth: dict[UUID, bool] = {}
        self._seed = 10_000
        with transaction() as session:
            self.reader = a_user(session, "dr.lee", Role.RADIOLOGIST)

    def send(self, count: int, *, station: str, ill: bool, blind: bool) -> list[UUID]:
        """Studies that were screened; drawn to be read blind or not."""
        studies = []
        with transaction() as session:
            blinding.set_share(session, share=100 if blind else 0, by=SYSTEM)
        for _ in range(count):
            self._seed += 1
            data = wrap(
                child(self._seed, ill=ill, station=station),
                patient_id=f"P{self._seed}",
                tags={"StationName": station, "ViewPosition": "AP"},
            )
            with transaction() as session:
                study = admit(session, self._blobs, data).study_id
            self._truth[study] = ill
            studies.append(study)
        self._screener.drain()
        return studies

    def sign(self, studies: list[UUID]) -> None:
        """Every study is confirmed or corrected to what it shows."""
        for study_id in studies:
            with transaction() as session:
                review.claim(session, study_id=study_id, by=self.reader, minutes=5)
                study = session.get_one(Study, study_id)
                review.sign(
                    session,
                    study_id=study_id,
                    by=self.reader,
                    revision=study.revision,
                    confirm=False,
                    findings={"pneumonia": Statement.PRESENT if self._truth[study_id] else Statement.ABSENT},
                )

    def called(self, studies: list[UUID]) -> float:
        """The share of these that the standing readings call pneumonia."""
        with transaction() as session:
            rows = session.scalars(
                select(Reading).where(Reading.study_id.in_(studies)).order_by(Reading.sequence)
            )
            said = {row.study_id: row for row in rows}
            assert {row.outcome for row in said.values()} == {Outcome.SCREENED.value}, [
                row.reason for row in said.values()
            ][:3]
            return float(np.mean([row.findings["pneumonia"]["present"] for row in said.values()]))


def test_a_station_that_is_misread_is_corrected_learnt_and_read_rightly(
    reading: str, make_screener: Callable[[], Screener], blobs: Blobs, tmp_path: Path
) -> None:
    hospital = Hospital(make_screener(), blobs)
    blind = {
        (station, ill): hospital.send(55, station=station, ill=ill, blind=True)
        for station in (WARD, CARE)
        for ill in (False, True)
    }
    assisted = [
        study
        for station in (WARD, CARE)
        for ill in (False, True)
        for study in hospital.send(25, station=station, ill=ill, blind=False)
    ]
    # The planted error: well children of one station are called ill, those of the other are not.
    assert hospital.called(blind[CARE, False]) > 0.9
    assert hospital.called(blind[WARD, False]) < 0.1

    hospital.sign([study for studies in blind.values() for study in studies] + assisted)
    with transaction() as session:
        first, second = (a_user(session, name, Role.ADMINISTRATOR) for name in ("ann", "ben"))
        run_id, _ = retraining.retrain(session, blobs=blobs, occasion="asked", by=first)
    learner = LearnerHere(blobs=blobs, folder=tmp_path / "jobs", name="tested")
    assert learner.drain(stop=threading.Event()) == 2, "a training and the evaluation of what came of it"

    with transaction() as session:
        run = session.get_one(TrainingRun, run_id)
        candidate = run.candidate_sha256
        assert candidate is not None
        assert registry.active_bundle(session) == reading, "nothing is promoted by itself"
        evaluation = session.scalars(select(Evaluation)).one()
        assert evaluation.candidate_sha256 == candidate
        assert evaluation.may_be_promoted, [line for line in evaluation.gate if not line["passes"]]
    _promote(blobs, candidate, first=first, second=second)

    newcomers = hospital.send(12, station=CARE, ill=False, blind=False)
    assert hospital.called(newcomers) < 0.1
    assert hospital.called(hospital.send(12, station=CARE, ill=True, blind=False)) > 0.9
    with transaction() as session:
        made_by = set(session.scalars(select(Reading.bundle_sha256).where(Reading.study_id.in_(newcomers))))
    assert made_by == {candidate}


def _promote(blobs: Blobs, candidate: str, *, first: Actor, second: Actor) -> None:
    with transaction() as session:
        proposed = promotion.propose(
            session, blobs, sha256=candidate, reason="It reads intensive care rightly.", by=first
        )
    assert not proposed.promoted
    with transaction() as session, pytest.raises(Conflict):
        promotion.propose(session, blobs, sha256=candidate, reason="Again.", by=second)
    with transaction() as session:
        promotion.decide(session, blobs, proposal_id=proposed.proposal_id, decision="promote", by=second)
        assert registry.active_bundle(session) == candidate
