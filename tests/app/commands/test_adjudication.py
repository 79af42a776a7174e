"""Adjudication: when a study is in dispute, who settles it, and what a withdrawal does to that."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import adjudication, consult, delivery, people, review, withdrawal
from app.commands.review import Signed, Statement
from app.domain.roles import SYSTEM, Actor, Role
from app.domain.states import State
from app.errors import Conflict, Forbidden
from app.queries import adjudication as queries
from app.queries import site_figures, studies
from app.queries.adjudication import Dispute
from app.records import Adjudication, AuditEvent, Delivery, Study
from app.records.engine import transaction
from tests.builders import a_screened_study, a_user, an_admitted_study, revision_of

PRESENT, ABSENT, UNCERTAIN = Statement.PRESENT, Statement.ABSENT, Statement.UNCERTAIN
SIXTY = timedelta(seconds=60)


def a_reader(name: str) -> Actor:
    with transaction() as session:
        return a_user(session, name, Role.RADIOLOGIST)


def sign(study_id: UUID, by: Actor, *, undo: timedelta = timedelta(0), **said: Statement) -> Signed:
    with transaction() as session:
        return review.sign(
            session,
            study_id=study_id,
            by=by,
            revision=revision_of(study_id),
            confirm=False,
            findings=dict(said),
            undo=undo,
        )


def settle(study_id: UUID, by: Actor, *, undo: timedelta = timedelta(0), **said: Statement) -> Signed:
    with transaction() as session:
        return adjudication.adjudicate(
            session, study_id=study_id, by=by, revision=revision_of(study_id), findings=dict(said), undo=undo
        )


def dispute(study_id: UUID, who: Actor) -> Dispute | None:
    with transaction() as session:
        found = queries.of_study(session, study_id=study_id, who=who)
        listed = [one.study_id for one in queries.disputes(session, who=who).disputes]
        assert (study_id in listed) == (found is not None)
        assert queries.count(session, who=who) == len(listed)
        return found


def test_two_readers_who_differ_are_settled_by_a_third(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    assert dispute(study_id, irma) is None
    sign(study_id, henri, pneumonia=ABSENT, effusion=ABSENT)
    found = dispute(study_id, irma)
    assert found is not None
    assert [(one.reader, one.findings["pneumonia"]) for one in found.positions] == [
        ("grace", "present"),
        ("henri", "absent"),
    ]
    assert (found.in_dispute, found.findings) == (("pneumonia",), ("pneumonia", "effusion"))
    assert (found.refused, found.as_a_party) == (None, False)
    for party in (grace, henri):
        with pytest.raises(Conflict, match="You have read this study"):
            settle(study_id, party, pneumonia=PRESENT)
        told = dispute(study_id, party)
        assert told is not None
        assert "You have read this study" in (told.refused or "")
    signed = settle(study_id, irma, pneumonia=PRESENT)
    assert signed.state is State.AMENDED
    assert dispute(study_id, irma) is None
    with transaction() as session:
        [settled] = session.scalars(select(Adjudication))
        assert (settled.review_id, settled.by_a_party) == (signed.review_id, False)
        assert len(settled.between) == 2
        shown = studies.show(session, study_id=study_id, to=SYSTEM).reviews
        assert [(one.reviewer_name, one.label_source) for one in shown] == [
            ("irma", "adjudicated"),
            ("henri", "review"),
            ("grace", "review"),
        ]
        assert session.scalar(
            select(AuditEvent.actor_name).where(AuditEvent.action == "study.adjudicated")
        ) == ("irma")
    with pytest.raises(Conflict, match="nothing to adjudicate"):
        settle(study_id, irma, pneumonia=ABSENT)


def test_where_there_are_only_two_one_of_them_settles_it_and_is_marked(database: str, blobs: Blobs) -> None:
    grace, henri = a_reader("grace"), a_reader("henri")
    gone = a_reader("irma")
    assert gone.id is not None
    with transaction() as session:
        people.disable_user(session, user_id=gone.id, by=SYSTEM)
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=UNCERTAIN)
    found = dispute(study_id, henri)
    assert found is not None
    assert (found.refused, found.as_a_party) == (None, True)
    settle(study_id, henri, pneumonia=PRESENT)
    assert dispute(study_id, henri) is None
    with transaction() as session:
        shown = studies.show(session, study_id=study_id, to=SYSTEM).reviews[0]
        assert (shown.label_source, shown.by_a_party) == ("adjudicated", True)


def test_where_everybody_has_read_it_one_of_them_settles_it(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    for reader, said in ((grace, PRESENT), (henri, ABSENT), (irma, PRESENT)):
        sign(study_id, reader, pneumonia=said)
    found = dispute(study_id, irma)
    assert found is not None
    assert (found.refused, found.as_a_party) == (None, True)
    settle(study_id, irma, pneumonia=PRESENT)
    assert dispute(study_id, grace) is None


def a_disputed_study(blobs: Blobs) -> tuple[UUID, Actor, Actor, Actor]:
    """Grace says present, Henri absent; Irma has not read it."""
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=ABSENT)
    return study_id, grace, henri, irma


def test_an_amendment_that_agrees_ends_the_dispute_and_one_after_it_opens_another(
    database: str, blobs: Blobs
) -> None:
    study_id, grace, henri, irma = a_disputed_study(blobs)
    sign(study_id, grace, pneumonia=ABSENT)
    assert dispute(study_id, irma) is None
    sign(study_id, grace, pneumonia=PRESENT)
    settle(study_id, irma, pneumonia=ABSENT)
    assert dispute(study_id, grace) is None
    sign(study_id, grace, pneumonia=PRESENT)
    found = dispute(study_id, henri)
    assert found is not None
    assert [one.reader for one in found.positions] == ["irma", "grace"], "what was settled is not asked again"


def test_whoever_read_it_before_an_adjudication_is_no_neutral_reader_after_it(
    database: str, blobs: Blobs
) -> None:
    study_id, grace, henri, irma = a_disputed_study(blobs)
    settle(study_id, irma, pneumonia=ABSENT)
    sign(study_id, grace, pneumonia=PRESENT)
    for reader in (grace, henri, irma):
        alone = dispute(study_id, reader)
        assert alone is not None
        assert (alone.refused, alone.as_a_party) == (None, True), "nobody else is there"
    judith = a_reader("judith")
    for reader in (grace, henri, irma):
        with pytest.raises(Conflict, match="You have read this study"):
            settle(study_id, reader, pneumonia=ABSENT)
    found = dispute(study_id, judith)
    assert found is not None
    assert (found.refused, found.as_a_party) == (None, False)
    assert judith.id is not None
    with transaction() as session:
        people.disable_user(session, user_id=judith.id, by=SYSTEM)
    settle(study_id, henri, pneumonia=ABSENT)
    with transaction() as session:
        shown = studies.show(session, study_id=study_id, to=SYSTEM).reviews[0]
        assert (shown.reviewer_name, shown.label_source, shown.by_a_party) == ("henri", "adjudicated", True)


def test_one_reader_alone_never_disagrees(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, grace, pneumonia=ABSENT)
    assert dispute(study_id, grace) is None


def test_verdicts_on_different_findings_do_not_disagree(database: str, blobs: Blobs) -> None:
    grace, henri = a_reader("grace"), a_reader("henri")
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, effusion=ABSENT)
    assert dispute(study_id, grace) is None


def test_a_withdrawn_signature_disputes_nothing_and_settles_nothing(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    taken = sign(study_id, henri, undo=SIXTY, pneumonia=ABSENT)
    assert dispute(study_id, irma) is not None
    with transaction() as session:
        withdrawal.withdraw(session, study_id=study_id, review_id=taken.review_id, by=henri, minutes=5)
    assert dispute(study_id, irma) is None
    sign(study_id, henri, pneumonia=ABSENT)
    settled = settle(study_id, irma, undo=SIXTY, pneumonia=ABSENT)
    assert dispute(study_id, irma) is None
    with transaction() as session:
        withdrawal.withdraw(session, study_id=study_id, review_id=settled.review_id, by=irma, minutes=5)
    assert dispute(study_id, irma) is not None


def test_what_was_said_of_other_images_is_no_disagreement(database: str, blobs: Blobs) -> None:
    of_study = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.91", "patient_id": "P91"}
    grace, henri = a_reader("grace"), a_reader("henri")
    study_id = an_admitted_study(blobs, **of_study).study_id
    sign(study_id, grace, pneumonia=ABSENT)
    an_admitted_study(blobs, **of_study)
    sign(study_id, henri, pneumonia=PRESENT)
    assert dispute(study_id, grace) is None
    sign(study_id, grace, pneumonia=ABSENT)
    assert dispute(study_id, grace) is not None


ONE_PICTURE = {
    "seed": 7,
    "study_instance_uid": "1.2.826.0.1.3680043.8.498.92",
    "sop_instance_uid": "1.2.826.0.1.3680043.8.498.92.1",
    "patient_id": "P92",
}


@pytest.mark.parametrize("corrected", [{}, {"ImageLaterality": "R"}])
def test_a_corrected_header_ends_no_dispute_and_unsettles_no_adjudication(
    database: str, blobs: Blobs, corrected: dict[str, str]
) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = an_admitted_study(blobs, **ONE_PICTURE).study_id

    def readers() -> list[str] | None:
        found = dispute(study_id, irma)
        return [one.reader for one in found.positions] if found else None

    def comes_again(accession: str) -> None:
        again = an_admitted_study(blobs, **ONE_PICTURE, tags={"AccessionNumber": accession} | corrected)
        assert again.study_id == study_id

    sign(study_id, grace, pneumonia=PRESENT)
    comes_again("A1")
    sign(study_id, henri, pneumonia=ABSENT)
    assert readers() == ["grace", "henri"], "a reader of the same pixels says otherwise"
    comes_again("A2")
    sign(study_id, henri, pneumonia=ABSENT, effusion=ABSENT)
    assert readers() == ["grace", "henri"], "neither has changed their mind"
    comes_again("A1")
    sign(study_id, grace, pneumonia=PRESENT)
    assert readers() == ["henri", "grace"], "a header that was shown before and is again"
    settle(study_id, irma, pneumonia=ABSENT)
    comes_again("A3")
    sign(study_id, grace, pneumonia=PRESENT)
    assert readers() == ["irma", "grace"], "an amendment against what was settled"


def test_who_is_asked_for_an_opinion_is_not_told_of_the_dispute(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=ABSENT)
    assert irma.id is not None
    with transaction() as session:
        consult.ask(session, study_id=study_id, of=irma.id, question="", by=grace)
    assert dispute(study_id, irma) is None
    assert dispute(study_id, grace) is not None


def test_a_stale_page_adjudicates_nothing_and_neither_does_a_key(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=ABSENT)
    with pytest.raises(Conflict, match="changed since"), transaction() as session:
        adjudication.adjudicate(
            session, study_id=study_id, by=irma, revision=1, findings={"pneumonia": PRESENT}
        )
    key = Actor(kind="key", id=UUID(int=7), name="machine", permissions=irma.permissions)
    with pytest.raises(Forbidden):
        settle(study_id, key, pneumonia=PRESENT)
    with transaction() as session:
        assert session.scalars(select(Adjudication)).all() == []
        assert session.get_one(Study, study_id).disputed


def test_blind_adjudications_of_a_third_reader_are_counted_for_the_site(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        session.get_one(Study, study_id).blind = True
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=ABSENT)
    with transaction() as session:
        assert site_figures.adjudicated(session, findings=["pneumonia"]) == {"pneumonia": 0}
    settle(study_id, irma, pneumonia=PRESENT)
    with transaction() as session:
        assert site_figures.adjudicated(session, findings=["pneumonia"]) == {"pneumonia": 1}


def test_an_adjudicated_verdict_is_sent_like_an_amendment(database: str, blobs: Blobs) -> None:
    grace, henri, irma = (a_reader(name) for name in ("grace", "henri", "irma"))
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace, pneumonia=PRESENT)
    sign(study_id, henri, pneumonia=ABSENT)
    with transaction() as session:
        delivery.add_destination(session, name="ris", url="https://ris.test/in", by=SYSTEM)
    signed = settle(study_id, irma, pneumonia=PRESENT)
    with transaction() as session:
        [message] = session.scalars(select(Delivery))
        assert (message.event, message.review_id) == ("study.amended", signed.review_id)
