"""Review: a radiologist claims a study, says what is there, signs, and may amend for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import audit, blinding, cases, delivery, disagreement, drafts, marking, second_opinions
from app.commands.ranking import announce
from app.domain.marks import Mark
from app.domain.roles import SYSTEM, Actor, Permission
from app.domain.states import CLAIMABLE, DONE, State
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records import Image, Reading, Review, Study
from app.records.base import now
from app.records.review import stands


class Statement(StrEnum):
    """What a reader says of one finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What the signature left."""

    review_id: UUID
    study_id: UUID
    state: State
    verdict: str
    revision: int
    final_at: datetime | None
    """Until then it can be withdrawn; None where it was final at once."""


def check_can_claim(study: Study, *, by: Actor) -> None:
    """Raises Forbidden or Conflict where `by` may not claim the study now."""
    check_may_review(by)
    held = study.claim_expires_at is not None and study.claim_expires_at > now()
    if held and study.claimed_by_name != by.name:
        raise Conflict(
            f"{study.claimed_by_name} holds this study until they release it or the claim expires."
        )
    if study.purpose == "prior":
        raise Conflict("This is a prior; it is here to be compared with, not to be read.")
    said_state = study.state
    if State(said_state) not in (*CLAIMABLE, State.CLAIMED):
        raise Conflict(f"A study that is {said_state} cannot be claimed.")


def can_claim(study: Study, *, by: Actor) -> bool:
    """True where `check_can_claim` passes."""
    try:
        check_can_claim(study, by=by)
    except (Conflict, Forbidden):
        return False
    return True


def check_can_sign(study: Study, *, by: Actor) -> None:
    """Raises where `by` may not sign or amend: the claim is another's, or the state forbids it."""
    if State(study.state) in DONE:
        check_may_review(by)
    else:
        check_can_claim(study, by=by)


def can_sign(study: Study, *, by: Actor) -> bool:
    """True where `check_can_sign` passes."""
    try:
        check_can_sign(study, by=by)
    except (Conflict, Forbidden):
        return False
    return True


def claim(session: Session, *, study_id: UUID, by: Actor, minutes: float, **said: Any) -> None:
    """The study is held by `by` for so many minutes; claiming one's own again prolongs it."""
    study = locked(session, study_id)
    check_can_claim(study, by=by)
    if study.state == State.CLAIMED.value and study.claimed_by_name != by.name:
        _expire(session, study)  # the sweeper has not come by
    study.claim_expires_at = now() + timedelta(minutes=minutes)
    if study.state != State.CLAIMED.value:
        study.state_before_claim, study.state = study.state, State.CLAIMED.value
        study.claimed_by = by.id if by.kind == "user" else None
        study.claimed_by_name, study.claimed_at = by.name, now()
        audit.record(session, action="study.claimed", by=by, study_id=study.id, **said)
        announce(session, study)


def release(session: Session, *, study_id: UUID, by: Actor, **said: Any) -> None:
    """The study is free again, in the state it was claimed from; so is one that nobody holds any more."""
    study = locked(session, study_id)
    if study.claimed_by_name is None:
        return
    if study.state != State.CLAIMED.value or study.claimed_by_name != by.name:
        raise Conflict("Only the person who holds a study can release it.")
    _unclaim(study)
    audit.record(session, action="study.released", by=by, study_id=study.id, **said)
    announce(session, study)


def expire_claims(session: Session) -> int:
    """Claims nobody has prolonged are over; returns how many."""
    studies = session.scalars(
        select(Study)
        .where(Study.state == State.CLAIMED.value, Study.claim_expires_at <= now())
        .with_for_update(skip_locked=True),
    ).all()
    for study in studies:
        _expire(session, study)
        announce(session, study)
    return len(studies)


def _expire(session: Session, study: Study) -> None:
    audit.record(
        session, action="study.claim-expired", by=SYSTEM, study_id=study.id, holder=study.claimed_by_name
    )
    _unclaim(study)


def sign(
    session: Session,
    *,
    study_id: UUID,
    by: Actor,
    revision: int,
    confirm: bool,
    findings: dict[str, Statement],
    comment: str = "",
    marks: tuple[Mark, ...] = (),
    undo: timedelta = timedelta(0),
) -> Signed:
    """A review is stored and the study signed, or amended where it was signed before.

    `revision` is the one the reader had before them; where the study has changed since, Conflict says so and
    nothing is stored. `confirm` agrees with the network's reading and needs one that `by` may see; otherwise
    `findings` says what of each finding is so. A free study is claimed on the way. For the time of `undo` the
    signer can withdraw the signature; until that has passed its results stay here.
    """
    study = locked(session, study_id)
    check_can_sign(study, by=by)
    if revision != study.revision:
        raise Conflict(
            f"The study has changed since you opened it (revision {study.revision}, you had {revision}). "
            "Look at it again; nothing was signed.",
            revision=study.revision,
        )
    if len(comment) > drafts.LONGEST_COMMENT:
        raise Unprocessable(f"A comment has at most {drafts.LONGEST_COMMENT:,} characters.")
    reading = _standing_reading(session, study)
    said = _network_findings(reading)
    if confirm:
        blinding.check_may_see(session, study_id=study.id, who=by)
    statements = _statements(confirm=confirm, findings=findings, network=said)
    amends = session.scalar(
        select(Review.id)
        .where(Review.study_id == study.id, stands())
        .order_by(Review.sequence.desc())
        .limit(1),
    )
    if State(study.state) not in DONE and study.claimed_by_name != by.name:
        claim(session, study_id=study.id, by=by, minutes=1)
    was_done = State(study.state) in DONE
    moment = now()
    review = Review(
        id=uuid4(),
        study_id=study.id,
        study_revision=study.revision,
        reading_id=reading.id if reading else None,
        bundle_sha256=reading.bundle_sha256 if reading else None,
        amends_id=amends,
        reviewer_kind=by.kind,
        reviewer_id=by.id,
        reviewer_name=by.name,
        verdict=_verdict(statements, said),
        findings={name: statement.value for name, statement in statements.items()},
        network_findings=reading.findings if reading else {},
        image_ids=[str(image_id) for image_id in _image_ids(session, study)],
        comment=comment,
        marks=marking.checked(session, marks, study_id=study.id, findings=statements),
        blind=blinding.reads_blind(session, study=study, by=by),
        signed_at=moment,
        final_at=moment + undo if undo else None,
        state_before=study.state_before_claim or study.state,
        reason_before=study.reason,
    )
    session.add(review)
    cases.keep(session, study_id=study.id, reading=reading)
    second_opinions.answer(session, study=study, given=review, by=by)
    drafts.discard(session, study_id=study.id, by=by)
    disagreement.weigh(session, study)
    _unclaim(study)
    study.state = State.AMENDED.value if was_done else State.SIGNED.value
    study.signed_by_name, study.signed_at, study.reason = by.name, moment, None
    study.revision += 1
    action = "study.amended" if was_done else "study.signed"
    audit.record(
        session, action=action, by=by, study_id=study.id, subject_id=review.id, verdict=review.verdict
    )
    delivery.prepare_review(session, study, review)
    announce(session, study)
    return Signed(
        review_id=review.id,
        study_id=study.id,
        state=State(study.state),
        verdict=review.verdict,
        revision=study.revision,
        final_at=review.final_at,
    )


def check_may_review(by: Actor) -> None:
    """Raises Forbidden for whoever is no radiologist."""
    if not by.may(Permission.REVIEW):
        raise Forbidden("Only a radiologist may claim and sign studies.")


def locked(session: Session, study_id: UUID) -> Study:
    """The study, nobody else's to change until the commit; NotFound where there is none."""
    study = session.get(Study, study_id, with_for_update=True)
    if study is None:
        raise NotFound("There is no such study.")
    return study


def _unclaim(study: Study) -> None:
    if study.state == State.CLAIMED.value and study.state_before_claim:
        study.state = study.state_before_claim
    study.state_before_claim = None
    study.claimed_by, study.claimed_by_name = None, None
    study.claimed_at, study.claim_expires_at = None, None


def _standing_reading(session: Session, study: Study) -> Reading | None:
    return session.scalar(
        select(Reading).where(Reading.study_id == study.id).order_by(Reading.sequence.desc()).limit(1),
    )


def _network_findings(reading: Reading | None) -> dict[str, Statement]:
    if reading is None:
        return {}
    return {
        name: Statement.PRESENT if finding["present"] else Statement.ABSENT
        for name, finding in reading.findings.items()
        if not finding.get("research")
    }


def _statements(
    *, confirm: bool, findings: dict[str, Statement], network: dict[str, Statement]
) -> dict[str, Statement]:
    if confirm:
        if not network:
            raise Unprocessable(
                "The network has not read this study, so there is nothing to confirm. Say what you see."
            )
        if any(network.get(name) is not statement for name, statement in findings.items()):
            raise Unprocessable(
                "A confirmation agrees with the network in every finding; send a correction instead."
            )
        return network
    if not findings:
        raise Unprocessable("Say of at least one finding whether it is present, absent or uncertain.")
    unknown = [name for name in findings if not name or len(name) > 100]
    if unknown:
        raise Unprocessable("A finding's name has 1 to 100 characters.")
    return findings


def _verdict(statements: dict[str, Statement], network: dict[str, Statement]) -> str:
    """read: the network had not spoken; confirmed: it had said the same; corrected: it had not."""
    if not network:
        return "read"
    same = all(statements.get(name) is said for name, said in network.items())
    return "confirmed" if same and set(statements) <= set(network) else "corrected"


def _image_ids(session: Session, study: Study) -> list[Any]:
    return list(
        session.scalars(
            select(Image.id)
            .where(Image.study_id == study.id, Image.superseded_by.is_(None))
            .order_by(Image.arrived_at, Image.id),
        ),
    )
