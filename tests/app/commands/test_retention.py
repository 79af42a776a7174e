"""Studies whose time is over go by themselves, and none that anybody still needs."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.blobs import Blobs
from app.commands import retention
from app.commands.intake import GivenMetadata
from app.domain.roles import SYSTEM
from app.queries import deletions
from app.records import AuditEvent, Deletion, SiteChoice, Study
from app.records.base import now
from app.records.engine import transaction
from app.settings import Settings, settings
from tests.app.commands.labelled import taken
from tests.builders import a_dicom, a_screened_study, a_signed_study, admit, an_admitted_study
from worker.sweep import Sweeper

LONG_AGO = timedelta(days=40)


@pytest.fixture(autouse=True)
def clock_seen(database: str) -> None:
    """Retention has looked a minute ago, and nothing holds it."""
    looked(timedelta(minutes=1))


def looked(ago: timedelta) -> None:
    at = (now() - ago).isoformat()
    with transaction() as session:
        session.merge(
            SiteChoice(
                name=retention.LOOKED,
                value={"at": at, "held_until": None},
                chosen_by_name=SYSTEM.name,
            )
        )


def signed(blobs: Blobs, *, days: int = 40, **dicom: str) -> UUID:
    """A study that was signed so long ago."""
    study = a_signed_study(blobs, **dicom)
    with transaction() as session:
        session.execute(
            text("UPDATE studies SET signed_at = now() - make_interval(days => :days) WHERE id = :id"),
            {"days": days, "id": study},
        )
    return study


def apply(blobs: Blobs, *, days: int = 30) -> int:
    with transaction() as session:
        done = retention.apply(session, blobs, days=days)
    return done.studies if done else 0


def left() -> set[UUID]:
    with transaction() as session:
        return set(session.scalars(select(Study.id)))


def test_what_was_signed_long_ago_goes_and_is_on_record(database: str, blobs: Blobs) -> None:
    old, young = signed(blobs), signed(blobs, days=20)
    assert apply(blobs) == 1
    assert apply(blobs) == 0
    assert left() == {young}
    with transaction() as session:
        [proof] = session.scalars(select(Deletion))
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "retention.applied"))
    assert (proof.kind, proof.studies, proof.deleted_by_name) == ("retention", [str(old)], SYSTEM.name)
    assert (event.subject_id, event.details["reason"]) == (str(proof.id), "Signed more than 30 days ago.")


@pytest.mark.parametrize(
    "made",
    [
        "state = 'screened', signed_at = NULL, signed_by_name = NULL",
        "state = 'reopened'",
        "state = 'claimed', state_before_claim = 'signed', claimed_by_name = 'x', claimed_at = now(),"
        " claim_expires_at = now()",
        "screening_due = true",
        "disputed = true",
    ],
)
def test_what_somebody_still_has_to_do_with_stays(made: str, database: str, blobs: Blobs) -> None:
    study = signed(blobs)
    with transaction() as session:
        session.execute(text(f"UPDATE studies SET {made}"))
    assert apply(blobs) == 0
    assert left() == {study}


def test_what_a_snapshot_has_met_stays(database: str, blobs: Blobs) -> None:
    study = signed(blobs)
    with transaction() as session:
        taken(session, blobs, reviews=True)
    assert apply(blobs) == 0
    assert left() == {study}


def test_a_prior_goes_after_the_last_current_study_of_its_patient(database: str, blobs: Blobs) -> None:
    signed(blobs, patient_id="P1")
    with transaction() as session:
        for patient in ("P1", "P2"):
            admit(session, blobs, a_dicom(patient_id=patient), given=GivenMetadata(purpose="prior"))
        session.execute(
            text(
                "UPDATE studies SET arrived_at = now() - interval '40 days',"
                " rank_at = now() - interval '50 days'"
            )
        )
    an_admitted_study(blobs, patient_id="P2")
    assert [apply(blobs) for _ in range(3)] == [1, 1, 0]
    with transaction() as session:
        assert sorted(session.scalars(select(Study.patient_id))) == ["P2", "P2"]


@pytest.mark.parametrize("ago", [None, timedelta(days=8), -timedelta(days=3650)])
def test_a_clock_that_was_not_seen_running_deletes_nothing_for_a_week_and_says_so(
    ago: timedelta | None, database: str, blobs: Blobs
) -> None:
    study = signed(blobs)
    if ago is None:
        with transaction() as session:
            session.execute(text("DELETE FROM site_choices WHERE name = :name"), {"name": retention.LOOKED})
    else:
        looked(ago)
    assert [apply(blobs), apply(blobs)] == [0, 0]
    assert left() == {study}
    with transaction() as session:
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "retention.held"))
        until = deletions.held_until(session)
    assert until is not None
    assert timedelta(days=6, hours=23) < until - now() <= timedelta(days=7)
    assert event.details["until"] == until.isoformat()
    with transaction() as session:  # the week passes
        session.merge(
            SiteChoice(
                name=retention.LOOKED,
                value={"at": now().isoformat(), "held_until": now().isoformat()},
                chosen_by_name=SYSTEM.name,
            )
        )
    assert apply(blobs) == 1
    with transaction() as session:
        assert deletions.held_until(session) is None


def test_a_day_takes_only_so_many(database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        signed(blobs)
    monkeypatch.setattr(retention, "MOST_A_DAY", 2)
    assert [apply(blobs), apply(blobs)] == [2, 0]
    assert len(left()) == 1


def test_the_sweep_deletes_where_the_site_asks_for_it_and_else_nothing(database: str, blobs: Blobs) -> None:
    signed(blobs)
    stays = a_screened_study(blobs).study_id
    assert Sweeper(settings(), blobs=blobs).delete() == 0
    configured = settings().model_copy(update={"retention_days": 30})
    assert isinstance(configured, Settings)
    assert Sweeper(configured, blobs=blobs).delete() == 1
    assert left() == {stays}
