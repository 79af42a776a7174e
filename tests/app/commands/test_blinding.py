"""Blind reads: what is drawn, whom the opinion is hidden from, and which signatures count as blind."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import blinding, intake, preferences, review, withdrawal
from app.commands.intake import GivenMetadata
from app.commands.review import Statement
from app.domain.order import Credits, Lane
from app.domain.roles import SYSTEM, Actor, Role, Scope, permissions_of, permissions_of_scopes
from app.errors import Conflict, Unprocessable
from app.queries import site, studies, worklist
from app.queries.worklist_filter import filter_of
from app.records import AuditEvent, Review, SiteChoice, Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import (
    a_bundle,
    a_dicom,
    a_screened_study,
    a_user,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
)

KEY = Actor(
    kind="key", id=UUID(int=7), name="machine", permissions=permissions_of_scopes([Scope.READ, Scope.REVIEW])
)


def a_reader(name: str) -> Actor:
    with transaction() as session:
        return a_user(session, name, Role.RADIOLOGIST)


def draw(share: float) -> None:
    with transaction() as session:
        blinding.set_share(session, share=share, by=SYSTEM)


def hide(by: Actor, hidden: bool = True) -> None:
    with transaction() as session:
        preferences.hide_opinion(session, by=by, hide=hidden)


def is_hidden(study_id: UUID, who: Actor) -> bool:
    with transaction() as session:
        entry = studies.show(session, study_id=study_id, to=who).entry
        assert entry.blind == blinding.is_hidden(session, study_id=study_id, who=who)
        assert entry.blind == worklist.entries(session, study_ids=[study_id], to=who)[0].blind
        return entry.blind


def sign(study_id: UUID, by: Actor, *, say: Statement = Statement.PRESENT) -> bool:
    """Signs with findings; whether the signature counts as blind."""
    with transaction() as session:
        signed = review.sign(
            session,
            study_id=study_id,
            by=by,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": say},
        )
        blind = session.scalar(select(Review.blind).where(Review.id == signed.review_id))
        assert blind is not None
        return blind


def drawn(study_id: UUID) -> bool:
    with transaction() as session:
        return session.get_one(Study, study_id).blind


def test_a_share_of_nothing_draws_none_and_of_all_draws_all(database: str, blobs: Blobs) -> None:
    draw(0)
    assert not any(drawn(an_admitted_study(blobs).study_id) for _ in range(3))
    draw(100)
    assert all(drawn(an_admitted_study(blobs).study_id) for _ in range(3))


def test_the_lots_fall_as_often_as_the_share_says() -> None:
    lots = Counter(blinding.is_drawn(20) for _ in range(20_000))
    assert 3_700 < lots[True] < 4_300  # five standard deviations


def test_the_usual_share_is_five_until_somebody_chooses(session: Session) -> None:
    session.delete(session.get_one(SiteChoice, blinding.BLIND_SHARE))
    session.flush()
    assert site.blind_share(session) == site.BlindShare(share=5, chosen_at=None, chosen_by=None)


def test_a_late_image_draws_no_new_lot(database: str, blobs: Blobs) -> None:
    of_study = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.77", "patient_id": "P7"}
    draw(100)
    study_id = an_admitted_study(blobs, **of_study).study_id
    draw(0)
    assert an_admitted_study(blobs, **of_study).study_id == study_id
    assert drawn(study_id)
    other = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.78", "patient_id": "P8"}
    study_id = an_admitted_study(blobs, **other).study_id
    draw(100)
    an_admitted_study(blobs, **other)
    assert not drawn(study_id)


@pytest.mark.parametrize("share", [-1, 100.5, float("nan"), float("inf")])
def test_what_is_no_percentage_is_refused(database: str, share: float) -> None:
    with pytest.raises(Unprocessable), transaction() as session:
        blinding.set_share(session, share=share, by=SYSTEM)


def test_the_share_is_on_record_with_what_it_was(database: str) -> None:
    admin = Actor(kind="user", id=None, name="ada", permissions=permissions_of([Role.ADMINISTRATOR]))
    with transaction() as session:
        blinding.set_share(session, share=12.5, by=admin)
    with transaction() as session:
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "site.blind-share-set"))
        assert (event.actor_name, event.details) == ("ada", {"share": 12.5, "before": 0.0})
        assert site.blind_share(session).share == 12.5


def test_a_drawn_study_is_hidden_from_each_person_until_their_own_verdict(
    database: str, blobs: Blobs
) -> None:
    grace, henri = a_reader("grace"), a_reader("henri")
    with transaction() as session:
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
    draw(100)
    study_id = a_screened_study(blobs).study_id
    assert all(is_hidden(study_id, who) for who in (grace, henri, ada))
    assert not is_hidden(study_id, KEY)
    assert sign(study_id, grace)
    assert not is_hidden(study_id, grace)
    assert is_hidden(study_id, henri)
    assert is_hidden(study_id, ada)
    assert sign(study_id, henri, say=Statement.ABSENT), "the second reader had not been shown it either"
    assert not sign(study_id, grace, say=Statement.ABSENT), "an amendment is made knowing it"


def test_nothing_of_the_opinion_is_in_what_a_blind_reader_is_shown(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    draw(100)
    study_id = a_screened_study(blobs, probability=0.8734).study_id
    with transaction() as session:
        told = studies.show(session, study_id=study_id, to=SYSTEM)
        shown = studies.show(session, study_id=study_id, to=grace)
    assert "0.8734" in repr(told)
    assert "activation_map" in repr(told)
    # the place alone is there, for the order of the rows
    assert repr(shown.entry.place) in repr(shown)
    for word in ("0.8734", "activation_map", "RULE_IN", "rule-in", "h earlier", "likely"):
        assert word not in repr(shown), word
    assert shown.reading is not None
    assert (shown.reading.outcome, shown.entry.is_read) == ("screened", True)


def test_a_reader_who_asks_reads_blind_what_the_network_reads_from_then_on(
    database: str, blobs: Blobs
) -> None:
    grace = a_reader("grace")
    before = a_screened_study(blobs).study_id
    hide(grace)
    after = a_screened_study(blobs).study_id
    assert is_hidden(before, grace)
    assert is_hidden(after, grace)
    assert not sign(before, grace), "they may have seen it in the list before they asked"
    assert sign(after, grace)
    assert not is_hidden(after, grace)


def test_switching_back_and_forth_is_no_way_to_a_blind_signature(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    hide(grace)
    study_id = a_screened_study(blobs).study_id
    hide(grace, hidden=False)
    assert not is_hidden(study_id, grace)
    hide(grace)
    hide(grace)  # pressed twice
    assert is_hidden(study_id, grace)
    assert not sign(study_id, grace)
    with transaction() as session:
        actions = session.scalars(
            select(AuditEvent.action).where(AuditEvent.action.startswith("user.opinion"))
        )
        assert list(actions) == ["user.opinion-hidden", "user.opinion-shown", "user.opinion-hidden"]


def test_a_study_the_network_never_read_is_read_blind_by_a_person_and_never_by_a_key(
    database: str, blobs: Blobs
) -> None:
    grace = a_reader("grace")
    first, second = an_admitted_study(blobs).study_id, an_admitted_study(blobs).study_id
    assert sign(first, grace)
    assert not sign(second, KEY)


def test_a_usual_read_is_not_blind(database: str, blobs: Blobs) -> None:
    assert not sign(a_screened_study(blobs).study_id, a_reader("grace"))


def test_a_withdrawn_signature_hides_again_but_what_was_seen_was_seen(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    draw(100)
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        signed = review.sign(
            session,
            study_id=study_id,
            by=grace,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": Statement.PRESENT},
            undo=timedelta(seconds=60),
        )
    with transaction() as session:
        withdrawal.withdraw(session, study_id=study_id, review_id=signed.review_id, by=grace, minutes=5)
    assert is_hidden(study_id, grace)
    assert not sign(study_id, grace)


def test_what_is_hidden_cannot_be_confirmed(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    draw(100)
    study_id = a_screened_study(blobs).study_id
    with pytest.raises(Conflict, match="hidden from you until you have signed"), transaction() as session:
        review.sign(
            session, study_id=study_id, by=grace, revision=revision_of(study_id), confirm=True, findings={}
        )
    with transaction() as session:
        assert session.scalars(select(Review)).all() == []


def test_no_filter_tells_or_loses_a_blind_study(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    draw(100)
    ruled_in = a_screened_study(blobs).study_id
    ruled_out = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.01).study_id
    unread = an_admitted_study(blobs).study_id

    def found(who: Actor, **asked: str) -> set[UUID]:
        with transaction() as session:
            where = filter_of(asked)
            page = {entry.study_id for entry in worklist.page(session, where=where, to=who).entries}
            everybody = [ruled_in, ruled_out, unread]
            assert worklist.passing(session, study_ids=everybody, where=where, to=who) == page
            assert worklist.counts(session, due_before=now(), where=where, to=who).unsigned == len(page)
            return page

    for asked in ({"lane": "rule-in"}, {"lane": "rule-out"}, {"lane": "abstain"}, {"finding": "pneumonia"}):
        assert found(grace, **asked) == {ruled_in, ruled_out}, asked
    assert found(grace, lane="unread") == {unread}
    assert found(KEY, lane="rule-in") == {ruled_in}
    sign(ruled_in, grace)
    assert found(grace, lane="rule-out") == {ruled_out}


def test_notices_that_name_a_finding_or_a_lane_wait_and_others_do_not(database: str, blobs: Blobs) -> None:
    grace = a_reader("grace")
    draw(100)
    admission = an_admitted_study(blobs)
    notices = ("age unknown", "pneumonia on the right", "near the rule-in threshold")
    with transaction() as session:
        a_bundle(session)
        [study] = claimed(session)
        record(session, study, image_read(admission.image_id, notices=notices))
    with transaction() as session:
        shown = studies.show(session, study_id=admission.study_id, to=grace)
        told = studies.show(session, study_id=admission.study_id, to=SYSTEM)
    assert shown.entry.notices == shown.images[0].notices == ("age unknown",)
    assert set(told.entry.notices) == set(notices)


def test_a_sample_is_never_drawn(database: str, blobs: Blobs) -> None:
    draw(100)
    with transaction() as session, blobs.stage(max_bytes=64 * 1024**2) as staged:
        staged.write(a_dicom())
        file = intake.read(staged, file_name=None)
        admission = intake.admit(
            session,
            blobs,
            file=file,
            given=GivenMetadata(),
            by=SYSTEM,
            via="rest",
            credits=Credits(),
            is_sample=True,
        )
    assert not drawn(admission.study_id)
    assert drawn(an_admitted_study(blobs).study_id)
