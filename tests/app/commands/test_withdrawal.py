"""Undo: a signature is taken back in time, by its signer, and the study is as it was."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from app.blobs import Blobs
from app.commands import cases, delivery, review, withdrawal
from app.commands.review import Signed, Statement
from app.commands.withdrawal import Withdrawn
from app.domain.roles import SYSTEM, Actor, Role
from app.domain.states import Outcome, State
from app.errors import Conflict, Forbidden, NotFound
from app.queries import studies
from app.queries.similar import similar
from app.queries.site_figures import site_figures
from app.queries.worklist import done
from app.records import AuditEvent, ConfirmedCase, Delivery, Review, Study, Withdrawal
from app.records.base import now
from app.records.engine import transaction
from tests.builders import (
    BUNDLE,
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
    towards,
)

TEN_SECONDS = timedelta(seconds=10)
ABSENT = {"pneumonia": Statement.ABSENT}


@pytest.fixture
def grace(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "grace", Role.RADIOLOGIST)


@pytest.fixture
def henri(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "henri", Role.RADIOLOGIST)


def sign(study_id: UUID, by: Actor, *, undo: timedelta = TEN_SECONDS, **arguments: object) -> Signed:
    seen = revision_of(study_id)
    with transaction() as session:
        return review.sign(
            session,
            study_id=study_id,
            by=by,
            undo=undo,
            **{"revision": seen, "confirm": False, "findings": ABSENT} | arguments,
        )  # type: ignore[arg-type]


def undo(signed: Signed, by: Actor) -> Withdrawn:
    with transaction() as session:
        return withdrawal.withdraw(
            session, study_id=signed.study_id, review_id=signed.review_id, by=by, minutes=15
        )


def placed(study_id: UUID) -> tuple[object, ...]:
    with transaction() as session:
        row = session.get_one(Study, study_id)
        return row.rank_at, row.lane, row.urgency, row.reason, row.signed_at, row.signed_by_name


def test_an_undone_signature_leaves_the_study_as_it_was_and_with_its_reader(
    blobs: Blobs, grace: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    before = placed(study_id)
    signed = sign(study_id, grace)
    undone = undo(signed, grace)
    assert (undone.state, undone.revision) == (State.CLAIMED, signed.revision + 1)
    assert placed(study_id) == before
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.claimed_by_name, row.state_before_claim) == ("grace", "screened")
        shown = studies.show(session, study_id=study_id, to=grace)
        assert shown.reviews == ()
        assert [(line.kind, line.by) for line in shown.history] == [
            ("withdrawal", "grace"),
            ("review", "grace"),
        ]
        actions = session.scalars(
            select(AuditEvent.action).where(AuditEvent.study_id == study_id).order_by(AuditEvent.id)
        ).all()
        assert actions[-3:] == ["study.signed", "study.signature-withdrawn", "study.claimed"]
        review.release(session, study_id=study_id, by=grace)
        assert row.state == "screened"


def test_a_reopened_or_withheld_study_is_so_again_with_its_reason(blobs: Blobs, grace: Actor) -> None:
    study_id = an_admitted_study(blobs, study_instance_uid="1.2.3", patient_id="P").study_id
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        record(
            session,
            job,
            image_read(job.images[0].image_id, outcome=Outcome.WITHHELD, reason="A lateral view."),
        )
    undo(sign(study_id, grace), grace)
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.state_before_claim, row.reason) == ("withheld", "A lateral view.")
    sign(study_id, grace, undo=timedelta(0))
    with transaction() as session:
        admit(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
        assert session.get_one(Study, study_id).state == "reopened"
    undo(sign(study_id, grace), grace)
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.state_before_claim, row.reason) == (
            "reopened",
            "A new image arrived after the study was signed.",
        )
        assert row.signed_by_name == "grace", "the signature before stands"


def test_what_the_network_said_before_the_undo_is_what_the_study_goes_back_to(
    blobs: Blobs, grace: Actor
) -> None:
    study_id = an_admitted_study(blobs).study_id
    signed = sign(study_id, grace)
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        record(session, job, image_read(job.images[0].image_id))
    undo(signed, grace)
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.state, row.state_before_claim, row.lane) == ("claimed", "screened", "rule-in")


def test_a_study_a_new_image_reopened_stays_reopened_when_the_signature_is_undone(
    blobs: Blobs, grace: Actor
) -> None:
    study_id = a_screened_study(blobs, study_instance_uid="1.2.3", patient_id="P").study_id
    signed = sign(study_id, grace)
    with transaction() as session:
        admit(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    assert undo(signed, grace).state is State.REOPENED
    with transaction() as session:
        assert session.get_one(Study, study_id).signed_at is None


def test_undoing_an_amendment_restores_the_former_verdict(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    first = sign(study_id, grace, confirm=True, findings={}, undo=timedelta(0))
    second = sign(study_id, henri)
    third = sign(study_id, grace, findings={"pneumonia": Statement.UNCERTAIN})
    assert undo(third, grace).state is State.AMENDED
    assert undo(second, henri).state is State.SIGNED
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.signed_by_name, row.claimed_by_name) == ("grace", None)
        [standing] = studies.show(session, study_id=study_id, to=grace).reviews
        assert (standing.review_id, standing.verdict) == (first.review_id, "confirmed")
    again = sign(study_id, henri)
    with transaction() as session:
        assert session.get_one(Review, again.review_id).amends_id == first.review_id


def test_undone_twice_is_undone_once(blobs: Blobs, grace: Actor) -> None:
    signed = sign(a_screened_study(blobs).study_id, grace)
    assert undo(signed, grace) == undo(signed, grace)
    with transaction() as session:
        assert len(session.scalars(select(Withdrawal)).all()) == 1


def test_only_the_signer_can_undo_and_only_while_nobody_amended(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    signed = sign(study_id, grace)
    with pytest.raises(Forbidden, match="Only grace, who signed"):
        undo(signed, henri)
    sign(study_id, henri)
    with pytest.raises(Conflict, match="henri has amended the study since"):
        undo(signed, grace)
    with transaction() as session:
        assert session.scalars(select(Withdrawal)).all() == []


@pytest.mark.parametrize("seconds", [0, 10])
def test_a_final_signature_says_since_when_and_how_to_amend(
    blobs: Blobs, grace: Actor, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    signed = sign(a_screened_study(blobs).study_id, grace, undo=timedelta(seconds=seconds))
    later = now() + timedelta(seconds=seconds + 1)
    monkeypatch.setattr(withdrawal, "now", lambda: later)
    with pytest.raises(Conflict, match=r"became final at \d\d:\d\d:\d\d UTC .* amend it") as refusal:
        undo(signed, grace)
    with transaction() as session:
        row = session.get_one(Review, signed.review_id)
        assert refusal.value.extensions["final_at"] == (row.final_at or row.signed_at).isoformat()
        assert session.get_one(Study, signed.study_id).state == "signed"


def test_a_signature_of_another_study_is_not_found(blobs: Blobs, grace: Actor) -> None:
    signed = sign(a_screened_study(blobs).study_id, grace)
    other = a_screened_study(blobs).study_id
    with transaction() as session, pytest.raises(NotFound):
        withdrawal.withdraw(session, study_id=other, review_id=signed.review_id, by=grace, minutes=15)


def test_a_withdrawn_signature_counts_nowhere(blobs: Blobs, grace: Actor) -> None:
    kept = sign(a_screened_study(blobs, embedding=towards(10)).study_id, grace, undo=timedelta(0))
    signed = sign(a_screened_study(blobs, embedding=towards(20)).study_id, grace)
    asked = a_screened_study(blobs, embedding=towards(0)).study_id
    undo(signed, grace)
    with transaction() as session:
        session.execute(update(ConfirmedCase).values(kept_at=now() - timedelta(hours=1)))
        session.execute(
            update(Study).values(signed_at=now() - timedelta(hours=1)).where(Study.signed_at.is_not(None))
        )
        cases.settle(session, limit=10)
        found = similar(session, study_id=asked, size=8, to=SYSTEM)
        assert [case.study_id for case in found.cases] == [kept.study_id]
        [figures] = site_figures(session, bundle_sha256=BUNDLE, findings=["pneumonia"])
        assert figures.prevalence.trials == 1
        today = done(session, since=now() - timedelta(hours=2), to=SYSTEM)
        assert [entry.study_id for entry in today.entries] == [kept.study_id]


def test_a_signature_that_can_still_be_undone_is_no_case(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs, embedding=towards(20)).study_id
    sign(study_id, grace, undo=timedelta(seconds=60))
    asked = a_screened_study(blobs, embedding=towards(0)).study_id
    with transaction() as session:
        session.execute(update(ConfirmedCase).values(kept_at=now() - timedelta(hours=1)))
        session.execute(
            update(Study).where(Study.id == study_id).values(signed_at=now() - timedelta(seconds=30))
        )
        cases.settle(session, limit=10)
        assert similar(session, study_id=asked, size=8, to=SYSTEM).cases == ()


def test_the_result_of_a_signature_is_due_once_it_is_final_and_never_when_it_was_undone(
    blobs: Blobs, grace: Actor
) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.example/hook", by=SYSTEM)
    first, second = a_screened_study(blobs).study_id, a_screened_study(blobs).study_id
    kept, undone = sign(first, grace, comment="old"), sign(second, grace)
    with transaction() as session:
        session.execute(update(Delivery).where(Delivery.review_id.is_(None)).values(state="dead"))
        assert delivery.due(session) == []
    undo(undone, grace)
    with transaction() as session:
        told = dict(session.execute(select(Delivery.review_id, Delivery.state)).all())
        assert (told[kept.review_id], told[undone.review_id]) == ("pending", "withdrawn")
        [row] = session.scalars(select(Delivery).where(Delivery.review_id == kept.review_id))
        assert row.not_before == kept.final_at
        assert (row.event, row.payload["review"]["findings"]) == ("study.signed", {"pneumonia": "absent"})
        assert (row.payload["review"]["reviewer"], row.payload["review"]["comment"]) == ("grace", "old")
        session.execute(update(Delivery).values(not_before=now()))
        message = delivery.claim_next(session, lease=timedelta(seconds=60))
        assert message is not None
        assert (message.delivery_id, message.event) == (row.id, "study.signed")
        assert delivery.claim_next(session, lease=timedelta(seconds=60)) is None


def test_a_result_on_its_way_cannot_be_called_back(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.example/hook", by=SYSTEM)
    signed = sign(study_id, grace)
    with transaction() as session:  # by a sender whose clock goes ahead
        session.execute(update(Delivery).values(not_before=now()))
        assert delivery.claim_next(session, lease=timedelta(seconds=60)) is not None
    with pytest.raises(Conflict, match="on its way to another system already"):
        undo(signed, grace)


def test_a_withdrawn_result_is_not_sent_again_by_hand(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.example/hook", by=SYSTEM)
    undo(sign(study_id, grace), grace)
    with transaction() as session:
        row = session.scalars(select(Delivery)).one()
        with pytest.raises(Conflict, match="withdrawn"):
            delivery.resend(session, delivery_id=row.id, by=SYSTEM)


def test_withdrawals_cannot_be_rewritten(blobs: Blobs, grace: Actor) -> None:
    undo(sign(a_screened_study(blobs).study_id, grace), grace)
    for statement in ("DELETE FROM withdrawals", "UPDATE withdrawals SET withdrawn_by_name = 'x'"):
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(text(statement))
