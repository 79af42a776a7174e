"""Reading: claim, sign, amend; one rule for the command and the button."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from app.blobs import Blobs
from app.commands import review, screening
from app.commands.review import Signed, Statement
from app.domain.order import Lane
from app.domain.roles import Actor, Role
from app.domain.states import Outcome, State
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.queries import studies
from app.records import AuditEvent, Review, Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import (
    a_bundle,
    a_dicom,
    a_screened_study,
    a_user,
    admit,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
)


@pytest.fixture
def grace(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "grace", Role.RADIOLOGIST)


@pytest.fixture
def henri(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "henri", Role.RADIOLOGIST)


def _sign(study_id: UUID, by: Actor, **arguments: object) -> Signed:
    """Signed by someone who has just looked, unless `revision` says otherwise."""
    seen = revision_of(study_id)
    with transaction() as session:
        return review.sign(
            session,
            study_id=study_id,
            by=by,
            **{"revision": seen, "confirm": False, "findings": {}} | arguments,
        )  # type: ignore[arg-type]


def test_a_confirmation_stores_what_the_network_had_said(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs, probability=0.9).study_id
    signed = _sign(study_id, grace, confirm=True)

    assert (signed.state, signed.verdict) == (State.SIGNED, "confirmed")
    with transaction() as session:
        row = session.scalars(select(Review)).one()
        assert row.findings == {"pneumonia": "present"}
        assert row.network_findings["pneumonia"]["probability"] == 0.9
        assert row.bundle_sha256 == "b" * 64
        assert len(row.image_ids) == 1
        actions = list(session.scalars(select(AuditEvent.action).where(AuditEvent.actor_name == "grace")))
        assert actions[-2:] == ["study.claimed", "study.signed"]


@pytest.mark.parametrize("statement", [Statement.ABSENT, Statement.UNCERTAIN])
def test_another_statement_is_a_correction(blobs: Blobs, grace: Actor, statement: Statement) -> None:
    study_id = a_screened_study(blobs).study_id
    assert _sign(study_id, grace, findings={"pneumonia": statement}, comment="old").verdict == "corrected"


def test_stating_what_the_network_said_is_a_confirmation(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    assert _sign(study_id, grace, findings={"pneumonia": Statement.PRESENT}).verdict == "confirmed"


def test_a_study_the_network_did_not_read_is_read_like_any_other(blobs: Blobs, grace: Actor) -> None:
    study_id = an_admitted_study(blobs).study_id
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        withheld = image_read(job.images[0].image_id, outcome=Outcome.WITHHELD, reason="A lateral view.")
        record(session, job, withheld)
    with pytest.raises(Unprocessable, match="nothing to confirm"):
        _sign(study_id, grace, confirm=True)
    assert _sign(study_id, grace, findings={"pneumonia": Statement.ABSENT}).verdict == "read"


def test_a_network_that_is_gone_keeps_nobody_from_reading(blobs: Blobs, grace: Actor) -> None:
    study_id = an_admitted_study(blobs).study_id
    signed = _sign(study_id, grace, findings={"pneumonia": Statement.ABSENT})
    assert (signed.state, signed.verdict) == (State.SIGNED, "read")
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        record(session, job, image_read(job.images[0].image_id))
        study = session.get_one(Study, study_id)
        assert (study.state, study.lane, study.screening_due) == ("signed", "rule-in", False)


def test_what_the_network_says_of_a_study_somebody_holds_is_what_it_is_released_into(
    blobs: Blobs, grace: Actor
) -> None:
    study_id = an_admitted_study(blobs).study_id
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
        before = session.get_one(Study, study_id).revision
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        record(session, job, image_read(job.images[0].image_id))
    with pytest.raises(Conflict, match="has changed since"):
        _sign(study_id, grace, revision=before, findings={"pneumonia": Statement.ABSENT})
    with transaction() as session:
        review.release(session, study_id=study_id, by=grace)
        assert session.get_one(Study, study_id).state == State.SCREENED.value


def test_a_study_is_not_claimed_while_the_network_reads_it(blobs: Blobs, grace: Actor) -> None:
    study_id = an_admitted_study(blobs).study_id
    with transaction() as session:
        claimed(session)
    with pytest.raises(Conflict, match="screening cannot be claimed"):
        _sign(study_id, grace, findings={"pneumonia": Statement.ABSENT})


def test_a_stale_page_is_refused_and_nothing_is_signed(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with pytest.raises(Conflict, match="has changed since you opened it") as refusal:
        _sign(study_id, grace, revision=1, confirm=True)
    assert refusal.value.extensions["revision"] == 2
    with transaction() as session:
        assert session.get_one(Study, study_id).state == State.SCREENED.value
        assert session.scalars(select(Review)).all() == []


def test_two_people_never_read_the_same_study(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
    with pytest.raises(Conflict, match="grace holds this study"):
        _sign(study_id, henri, confirm=True)
    with transaction() as session:
        assert studies.show(session, study_id=study_id, to=grace).can_sign
        assert not studies.show(session, study_id=study_id, to=henri).can_sign
    assert _sign(study_id, grace, confirm=True).state is State.SIGNED


def test_a_released_study_is_free_in_the_state_it_was_claimed_from(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
    with transaction() as session, pytest.raises(Conflict, match="Only the person"):
        review.release(session, study_id=study_id, by=henri)
    with transaction() as session:
        review.release(session, study_id=study_id, by=grace)
        assert session.get_one(Study, study_id).state == State.SCREENED.value


@pytest.mark.parametrize("retried", [False, True])
def test_a_study_let_go_of_while_the_network_reads_it_has_what_the_network_said(
    retried: bool, blobs: Blobs, grace: Actor
) -> None:
    study_id = a_screened_study(blobs, study_instance_uid="1.2.3", patient_id="P").study_id
    with transaction() as session:
        if retried:
            session.execute(update(Study).values(state=State.FAILED.value, reason="It broke."))
            assert screening.retry(session, study_id=study_id)
        review.claim(session, study_id=study_id, by=grace, minutes=15)
    if not retried:
        with transaction() as session:
            admit(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    with transaction() as session:
        [job] = claimed(session)
        review.release(session, study_id=study_id, by=grace)
    with transaction() as session:
        record(session, job, *(image_read(image.image_id) for image in job.images))
        study = session.get_one(Study, study_id)
        assert (study.state, study.reason) == (State.SCREENED.value, None)
        review.claim(session, study_id=study_id, by=grace, minutes=15)


def test_a_claim_nobody_prolongs_expires(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
        assert review.expire_claims(session) == 0
        session.execute(update(Study).values(claim_expires_at=now() - timedelta(seconds=1)))
        assert review.expire_claims(session) == 1
    with transaction() as session:
        assert session.get_one(Study, study_id).state == State.SCREENED.value


@pytest.mark.parametrize("signs", [False, True])
def test_a_claim_that_ran_out_holds_nobody_up_though_no_sweeper_runs(
    blobs: Blobs, grace: Actor, henri: Actor, signs: bool
) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=-1)
    if signs:
        _sign(study_id, henri, findings={"pneumonia": Statement.ABSENT})
    else:
        with transaction() as session:
            review.claim(session, study_id=study_id, by=henri, minutes=15)
    with transaction() as session:
        study = session.get_one(Study, study_id)
        assert (study.claimed_by_name, study.signed_by_name) == (
            (None, "henri") if signs else ("henri", None)
        )
        told = select(AuditEvent.action).where(AuditEvent.study_id == study_id).order_by(AuditEvent.id.desc())
        assert session.scalars(told).all()[signs : 2 + signs] == ["study.claimed", "study.claim-expired"]
    with pytest.raises(Conflict):
        _sign(study_id, grace, revision=2, findings={"pneumonia": Statement.PRESENT})


def test_amending_keeps_the_whole_history(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    _sign(study_id, grace, confirm=True)
    amended = _sign(study_id, henri, findings={"pneumonia": Statement.ABSENT}, comment="a skin fold")
    assert amended.state is State.AMENDED
    with transaction() as session:
        shown = studies.show(session, study_id=study_id, to=grace)
    assert [(one.reviewer_name, one.verdict, one.amends) for one in shown.reviews] == [
        ("henri", "corrected", True),
        ("grace", "confirmed", False),
    ]


def test_reviews_and_audit_cannot_be_rewritten(blobs: Blobs, grace: Actor) -> None:
    _sign(a_screened_study(blobs).study_id, grace, confirm=True)
    for statement in (
        "UPDATE reviews SET comment = 'x'",
        "DELETE FROM reviews",
        "UPDATE audit_events SET action = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ):
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(text(statement))


def test_an_administrator_who_is_no_radiologist_cannot_sign(blobs: Blobs, database: str) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
    with pytest.raises(Forbidden):
        _sign(study_id, ada, confirm=True)


def test_a_confirmation_that_contradicts_itself_is_refused(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with pytest.raises(Unprocessable, match="agrees with the network"):
        _sign(study_id, grace, confirm=True, findings={"pneumonia": Statement.ABSENT})
    with pytest.raises(Unprocessable, match="at least one finding"):
        _sign(study_id, grace)


def test_an_unknown_study_is_not_found(grace: Actor) -> None:
    with pytest.raises(NotFound):
        _sign(grace.id, grace, confirm=True)


def test_a_ruled_out_study_that_is_confirmed_is_absent(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs, probability=0.02, lane=Lane.RULE_OUT).study_id
    _sign(study_id, grace, confirm=True)
    with transaction() as session:
        assert session.scalars(select(Review)).one().findings == {"pneumonia": "absent"}
