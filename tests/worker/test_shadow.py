"""A candidate in shadow: it reads what the active bundle read, and nobody's worklist knows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.blobs import Blobs
from app.commands import shadow
from app.domain.order import Credits
from app.domain.roles import SYSTEM, Actor, Role, permissions_of
from app.errors import Conflict, NotFound
from app.queries.shadow import ShadowShown, shadow_shown
from app.records import AuditEvent, Delivery, Job, Reading, ShadowReading, Study
from app.records.engine import transaction
from models.bundle import default_bundle_path
from models.bundle_file import read_bundle
from models.manifest import to_json
from tests.app.web.conftest import SignIn, client, sign_in  # noqa: F401  (fixtures)
from tests.builders import admit, sign
from tests.models.conftest import resealed
from tests.worker.here import LearnerHere
from worker.learning.learner import Learner
from worker.screener import Screener

ADMINISTRATOR = Actor(kind="user", id=None, name="ada", permissions=permissions_of([Role.ADMINISTRATOR]))


@pytest.fixture
def learner(database: str, broker: str, blobs: Blobs, tmp_path: Path) -> Iterator[Learner]:
    yield LearnerHere(blobs=blobs, folder=tmp_path / "jobs", name="tested")


@pytest.fixture
def candidate(database: str, blobs: Blobs, tmp_path: Path) -> str:
    """A registered bundle that rules nothing in: what the shipped one rules in, it abstains from."""
    from app.commands import registry  # noqa: PLC0415

    _, shipped = read_bundle(default_bundle_path())
    thresholds = {name: vars(cuts) | {"rule_in": None} for name, cuts in shipped.thresholds.items()}
    path = resealed(default_bundle_path(), tmp_path / "candidate.bundle", thresholds=thresholds)
    sha256 = blobs.put(path.read_bytes())
    _, manifest = read_bundle(path)
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=json.loads(to_json(manifest)), by=SYSTEM)
    return sha256


@pytest.fixture
def radiographs(shared_data: Path) -> list[bytes]:
    """Four with pneumonia and two without."""
    root = shared_data / "kermany" / "train"
    found = [*sorted((root / "PNEUMONIA").glob("*.jpeg"))[:4], *sorted((root / "NORMAL").glob("*.jpeg"))[:2]]
    return [path.read_bytes() for path in found]


def look(sha256: str, to: Actor = ADMINISTRATOR) -> ShadowShown:
    with transaction() as session:
        return shadow_shown(session, sha256=sha256, credits=Credits(), to=to)


def in_shadow(sha256: str, learner: Learner) -> int:
    """Everything that is due has been read; returns how many jobs it took."""
    jobs = 0
    while True:
        with transaction() as session:
            asked = shadow.ask_due(session)
        if asked is None:
            return jobs
        jobs += 1
        learner.drain(stop=threading.Event())


def test_a_candidate_reads_what_the_active_bundle_read_and_no_study_changes(
    screener: Screener, blobs: Blobs, learner: Learner, candidate: str, radiographs: list[bytes]
) -> None:
    with transaction() as session:
        before = admit(session, blobs, radiographs[0]).study_id
    screener.drain()
    with transaction() as session:
        shadow.begin(session, sha256=candidate, by=ADMINISTRATOR)
    with transaction() as session:
        admit(session, blobs, radiographs[1])
    screener.drain()
    assert in_shadow(candidate, learner) == 1
    assert look(candidate).unread == 0
    with transaction() as session:
        for data in radiographs[2:]:
            admit(session, blobs, data)
    screener.drain()
    with transaction() as session:
        standing = session.execute(
            select(Study.id, Study.state, Study.lane, Study.rank_at, Study.revision).order_by(Study.id)
        ).all()
        readings = session.scalar(select(func.count()).select_from(Reading))
        deliveries = session.scalar(select(func.count()).select_from(Delivery))
    assert look(candidate).unread == 4
    assert in_shadow(candidate, learner) == 1
    shown = look(candidate)
    assert (shown.unread, shown.studies) == (0, 5)
    assert not [study for study in shown.disagreements if study.study_id == before]
    with transaction() as session:
        assert (
            standing
            == session.execute(
                select(Study.id, Study.state, Study.lane, Study.rank_at, Study.revision).order_by(Study.id)
            ).all()
        )
        assert readings == session.scalar(select(func.count()).select_from(Reading))
        assert deliveries == session.scalar(select(func.count()).select_from(Delivery))
        both = session.execute(
            select(Reading.findings, ShadowReading.findings)
            .join(ShadowReading, ShadowReading.reading_id == Reading.id)
            .where(Reading.outcome == "screened")
        ).all()
    # The same weights in the same precision: what differs is the lane.
    for active, other in both:
        assert abs(active["pneumonia"]["probability"] - other["pneumonia"]["probability"]) < 0.02
    ruled_in = sum(active["pneumonia"]["lane"] == "rule-in" for active, _ in both)
    assert ruled_in >= 2
    assert shown.lanes.get(("rule-in", "abstain")) == ruled_in
    assert (shown.earlier, shown.later) == (0, ruled_in)
    assert shown.agreement.hits == shown.agreement.trials - ruled_in
    assert len(shown.disagreements) == ruled_in
    assert shown.mean_distance is not None and shown.mean_distance < 0.02


def test_how_often_each_was_right_counts_signatures_since_and_tells_blind_ones_apart(
    screener: Screener, blobs: Blobs, learner: Learner, candidate: str, radiographs: list[bytes]
) -> None:
    with transaction() as session:
        shadow.begin(session, sha256=candidate, by=ADMINISTRATOR)
        studies = [admit(session, blobs, data).study_id for data in radiographs[:2]]
    screener.drain()
    in_shadow(candidate, learner)
    assert look(candidate).right == () or all(not one.active.trials for one in look(candidate).right)
    sign(studies[0], ago=timedelta(0))
    [blind, assisted] = look(candidate).right
    assert (blind.active.trials, assisted.active.trials) == (0, 1)
    assert assisted.active.hits == assisted.candidate.hits == 1


def test_one_runs_at_a_time_and_never_the_one_that_reads(
    screener: Screener, blobs: Blobs, candidate: str, radiographs: list[bytes]
) -> None:
    with transaction() as session:
        admit(session, blobs, radiographs[0])
    screener.drain()
    with transaction() as session:
        active = session.scalars(select(Reading.bundle_sha256)).one()
    assert active is not None
    with transaction() as session, pytest.raises(Conflict, match="reads the worklist"):
        shadow.begin(session, sha256=active, by=ADMINISTRATOR)
    with transaction() as session, pytest.raises(NotFound):
        shadow.begin(session, sha256="f" * 64, by=ADMINISTRATOR)
    with transaction() as session:
        first = shadow.begin(session, sha256=candidate, by=ADMINISTRATOR)
        assert shadow.begin(session, sha256=candidate, by=ADMINISTRATOR) == first
        assert shadow.ask_due(session) is None
        with pytest.raises(Conflict, match="Another network runs in shadow"):
            shadow.begin(session, sha256=active, by=ADMINISTRATOR)
    with transaction() as session:
        shadow.end(session, sha256=candidate, by=ADMINISTRATOR)
        with pytest.raises(NotFound):
            shadow.end(session, sha256=candidate, by=ADMINISTRATOR)
        actions = session.scalars(select(AuditEvent.action).where(AuditEvent.action.like("shadow.%"))).all()
    assert actions == ["shadow.begun", "shadow.ended"]
    assert not look(candidate).runs


def test_a_job_that_came_to_nothing_is_not_asked_for_at_once_again(
    screener: Screener, blobs: Blobs, learner: Learner, candidate: str, radiographs: list[bytes]
) -> None:
    with transaction() as session:
        shadow.begin(session, sha256=candidate, by=ADMINISTRATOR)
        admit(session, blobs, radiographs[0])
    screener.drain()
    blobs.path(candidate).chmod(0o644)
    blobs.path(candidate).write_bytes(b"damaged")
    with transaction() as session:
        assert shadow.ask_due(session) is not None
        assert shadow.ask_due(session) is None
    learner.drain(stop=threading.Event())
    with transaction() as session:
        assert session.scalars(select(Job.state).where(Job.kind == "shadow")).all() == ["refused"]
        assert shadow.ask_due(session) is None


def test_the_page_and_rest_begin_show_and_end_it(
    client: TestClient,  # noqa: F811
    sign_in: SignIn,  # noqa: F811
    screener: Screener,
    blobs: Blobs,
    learner: Learner,
    candidate: str,
    radiographs: list[bytes],
) -> None:
    with transaction() as session:
        admit(session, blobs, radiographs[0])
    screener.drain()
    admin = sign_in(Role.ADMINISTRATOR)
    page = f"/models/{candidate}/shadow"
    assert "Begin a shadow run" in admin.get(page).text
    assert admin.post(f"{page}/begin", follow_redirects=False).status_code == 303
    assert "It has read nothing yet" in admin.get(page).text
    with transaction() as session:
        for data in radiographs[1:]:
            admit(session, blobs, data)
    screener.drain()
    in_shadow(candidate, learner)
    text = admin.get(page).text
    assert "5 studies read by both" in text
    assert "Later on the worklist" in text and "<circle" in text
    answer = admin.get(f"/api/v1{page}").json()
    assert answer["runs"] and answer["studies"] == 5
    assert {"active": "rule-in", "candidate": "abstain", "studies": answer["later"]} in answer["lanes"]
    assert admin.post(f"{page}/end", follow_redirects=False).status_code == 303
    assert admin.delete(f"/api/v1{page}").status_code == 404
    study = next(iter(look(candidate).disagreements)).study_id
    shown = admin.get(f"/api/v1/studies/{study}").text
    assert candidate not in shown and candidate[:12] not in admin.get(f"/studies/{study}").text


def test_what_is_hidden_from_a_reader_is_not_listed(
    screener: Screener, blobs: Blobs, learner: Learner, candidate: str, radiographs: list[bytes]
) -> None:
    with transaction() as session:
        shadow.begin(session, sha256=candidate, by=ADMINISTRATOR)
        for data in radiographs:
            admit(session, blobs, data)
    screener.drain()
    in_shadow(candidate, learner)
    listed = len(look(candidate).disagreements)
    assert listed >= 2 and look(candidate).hidden == 0
    with transaction() as session:
        for study in session.scalars(select(Study)):
            study.blind = True
    blind = look(candidate)
    assert blind.disagreements == () and blind.hidden == listed
    key = Actor(kind="key", id=None, name="trainer", permissions=frozenset())
    assert look(candidate, key).disagreements == ()
