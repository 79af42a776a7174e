"""Promotion: a candidate that passed the gate reads once two people, or one where the site says so, want it;
and the way back, which needs no gate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, registry, shadow, site_choices
from app.commands.deciding_evaluation import asked_for_whom, deciding_evaluation, judges_every_finding
from app.domain.roles import Actor, Permission
from app.domain.sentence import sentence
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records import Bundle, Evaluation, Proposal, SiteChoice, Snapshot
from app.records.base import now

PEOPLE = "promotion_people"
"""The choice's name; its value is 1 or 2."""
USUAL_PEOPLE = 2
LONGEST_REASON = 2000
DECISIONS = {
    "promoted": sentence("promoted"),
    "declined": sentence("declined"),
    "withdrawn": sentence("withdrawn"),
}
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('promotions', 0))")


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A proposal, and whether it was decided with it: where the site has one person do it."""

    proposal_id: UUID
    promoted: bool


def people_needed(session: Session) -> int:
    """How many people a promotion takes at this site."""
    chosen = session.get(SiteChoice, PEOPLE)
    return USUAL_PEOPLE if chosen is None else int(chosen.value)


def set_people(session: Session, *, people: int, by: Actor) -> None:
    """So many people does a promotion take from now on. Raises Unprocessable for other than 1 or 2."""
    if people not in (1, 2):
        raise Unprocessable("A promotion takes one person or two.")
    changed, value = site_choices.choose(session, name=PEOPLE, value=people, by=by)
    if changed:
        before = USUAL_PEOPLE if value is None else int(value)
        audit.record(
            session,
            action="site.promotion-people-set",
            by=by,
            subject_id=PEOPLE,
            people=people,
            before=before,
        )


def check_can_promote(session: Session, *, sha256: str) -> Evaluation:
    """The evaluation by which the candidate may read, whoever asks.

    Raises NotFound for a bundle that is not there, Conflict with the sentence why not: it reads already, was
    not evaluated beside the bundle that reads now, a line of the gate does not pass, or there was no line yet
    for an intended use that is another.
    """
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    if registry.active_bundle(session) == sha256:
        raise Conflict("This is the bundle that reads now.")
    evaluation = deciding_evaluation(session, sha256=sha256)
    if evaluation is None:
        raise Conflict(
            "It was not evaluated beside the bundle that reads now. Evaluate it on a locked test first."
        )
    failing = [
        str(line["sentence"]) for line in evaluation.gate if line.get("blocks", True) and not line["passes"]
    ]
    test, patients = session.get_one(Snapshot, evaluation.snapshot_id).name, evaluation.outcome["patients"]
    if failing or not evaluation.may_be_promoted:
        said_lines = " ".join(failing)
        raise Conflict(
            f"It does not pass the gate on the locked test of {test}; only to pass there, or on a test with "
            f"{patients} patients or more, outweighs that. {said_lines}"
        )
    if not asked_for_whom(session, evaluation):
        raise Conflict(
            "Its intended use is not that of the bundle that reads now, and an older program evaluated it, "
            f"which did not ask for that. Evaluate it again on the locked test of {test}, or on one with "
            f"{patients} patients or more."
        )
    if not judges_every_finding(evaluation.outcome):
        raise Conflict(
            "It was evaluated by an older program, whose gate asked less of the findings by which it ranks "
            f"patients. Evaluate it again on the locked test of {test}, or on one with {patients} patients "
            "or more."
        )
    return evaluation


def can_promote(session: Session, *, sha256: str) -> str | None:
    """None where `check_can_promote` lets it pass, else the sentence why not."""
    try:
        check_can_promote(session, sha256=sha256)
    except (Conflict, NotFound) as problem:
        return problem.detail
    return None


def propose(session: Session, blobs: Blobs, *, sha256: str, reason: str, by: Actor) -> Proposed:
    """Another administrator is to decide; where the site has one person do it, it is promoted at once.

    Raises Forbidden for machines and for whoever may not promote, NotFound and Conflict as
    `check_can_promote`, Conflict where it is proposed already, Unprocessable without a reason.
    """
    _check_person(by)
    reason = _reason(reason)
    session.execute(_TURN)
    evaluation = check_can_promote(session, sha256=sha256)
    if open_proposal(session, sha256=sha256) is not None:
        raise Conflict("It is proposed already; another administrator decides.")
    assert by.id is not None
    proposal = Proposal(
        bundle_sha256=sha256,
        evaluation_id=evaluation.id,
        reason=reason,
        proposed_by_id=by.id,
        proposed_by_name=by.name,
    )
    session.add(proposal)
    session.flush()
    audit.record(
        session,
        action="promotion.proposed",
        by=by,
        subject_id=sha256,
        proposal=str(proposal.id),
        reason=reason,
        insufficient=insufficient(evaluation),
    )
    if people_needed(session) > 1:
        return Proposed(proposal_id=proposal.id, promoted=False)
    _promote(session, blobs, proposal=proposal, evaluation=evaluation, reason=reason, by=by)
    return Proposed(proposal_id=proposal.id, promoted=True)


def check_can_decide(session: Session, *, proposal: Proposal, decision: str, by: Actor) -> None:
    """Raises Forbidden or Conflict with the sentence why this person may not decide so."""
    _check_person(by)
    if proposal.decision is not None:
        say_decision = DECISIONS[proposal.decision]
        raise Conflict(f"It was decided already ({say_decision}, by {proposal.decided_by_name}).")
    own = proposal.proposed_by_id == by.id
    if decision == "withdraw" and not own:
        raise Forbidden("Only who proposed it withdraws it; decline it instead.")
    if decision == "decline" and own:
        raise Forbidden("You proposed it yourself; withdraw it instead.")
    if decision == "promote":
        if own and people_needed(session) > 1:
            raise Forbidden("You proposed it yourself; at this site another administrator must approve it.")
        check_can_promote(session, sha256=proposal.bundle_sha256)


def can_decide(session: Session, *, proposal: Proposal, decision: str, by: Actor) -> bool:
    """Whether `check_can_decide` lets it pass."""
    try:
        check_can_decide(session, proposal=proposal, decision=decision, by=by)
    except (Conflict, Forbidden, NotFound):
        return False
    return True


def decide(
    session: Session, blobs: Blobs, *, proposal_id: UUID, decision: str, reason: str = "", by: Actor
) -> None:
    """The proposal is over: `promote`, from the next batch on the bundle reads; `decline`, with a reason;
    `withdraw`, by who proposed it.

    Raises NotFound, Unprocessable for another decision or without a reason for declining, and as
    `check_can_decide`.
    """
    if decision not in ("promote", "decline", "withdraw"):
        raise Unprocessable("The decision is promote, decline or withdraw.")
    session.execute(_TURN)
    proposal = session.get(Proposal, proposal_id, with_for_update=True)
    if proposal is None:
        raise NotFound("There is no such proposal.")
    check_can_decide(session, proposal=proposal, decision=decision, by=by)
    if decision == "promote":
        evaluation = check_can_promote(session, sha256=proposal.bundle_sha256)
        _promote(session, blobs, proposal=proposal, evaluation=evaluation, reason=reason.strip(), by=by)
        return
    said = _reason(reason) if decision == "decline" else reason.strip()[:LONGEST_REASON]
    _decided(proposal, "declined" if decision == "decline" else "withdrawn", reason=said, by=by)
    audit.record(
        session,
        action=f"promotion.{proposal.decision}",
        by=by,
        subject_id=proposal.bundle_sha256,
        proposal=str(proposal.id),
        reason=said,
    )


def roll_back(session: Session, *, to: str | None = None, reason: str, by: Actor) -> str:
    """From the next batch on a bundle of `registry.former` reads; without `to` the one before this.

    No gate and one person: whoever sees harm must be able to end it. Returns the bundle's sha256. Raises
    Forbidden for machines, Conflict for a bundle that cannot be gone back to, Unprocessable without a reason.
    """
    _check_person(by)
    reason = _reason(reason)
    session.execute(_TURN)
    back = registry.former(session)
    if to is None and not back:
        raise Conflict("There is no bundle to go back to: none read here before this one.")
    target = to or back[0]
    if target not in back:
        raise Conflict(
            "Only a bundle that read here before this one can be gone back to. One that was itself left by "
            "going back reads again only through the gate."
        )
    registry.promote(session, sha256=target, by=by, reason=reason, kind="rollback")
    shadow.give_way(session, sha256=target, by=by)
    return target


def open_proposal(session: Session, *, sha256: str) -> Proposal | None:
    """The one that waits for a decision."""
    return session.scalar(
        select(Proposal).where(Proposal.bundle_sha256 == sha256, Proposal.decision.is_(None)).limit(1)
    )


def proposed_bundle(session: Session, *, proposal_id: UUID) -> str:
    """sha256 of the bundle that the proposal is about. Raises NotFound."""
    proposal = session.get(Proposal, proposal_id)
    if proposal is None:
        raise NotFound("There is no such proposal.")
    return proposal.bundle_sha256


def insufficient(evaluation: Evaluation) -> list[str]:
    """What the locked test was too small to tell: lines that neither pass nor keep the candidate out."""
    return [str(line["name"]) for line in evaluation.gate if line["passes"] is None]


def _promote(
    session: Session, blobs: Blobs, *, proposal: Proposal, evaluation: Evaluation, reason: str, by: Actor
) -> None:
    for sha256 in (evaluation.candidate_sha256, evaluation.active_sha256):
        if hashlib.sha256(blobs.read(sha256)).hexdigest() != sha256:
            raise Conflict("The stored bytes of a bundle are not those that were evaluated; nothing changed.")
    _decided(proposal, "promoted", reason=reason, by=by)
    proposal.evaluation_id = evaluation.id
    audit.record(
        session,
        action="promotion.approved",
        by=by,
        subject_id=proposal.bundle_sha256,
        proposal=str(proposal.id),
        evaluation=str(evaluation.id),
        proposed_by=proposal.proposed_by_name,
        insufficient=insufficient(evaluation),
    )
    registry.promote(
        session,
        sha256=proposal.bundle_sha256,
        by=by,
        reason=proposal.reason,
        kind="promotion",
        proposal_id=proposal.id,
    )
    shadow.give_way(session, sha256=proposal.bundle_sha256, by=by)


def _decided(proposal: Proposal, decision: str, *, reason: str, by: Actor) -> None:
    proposal.decision, proposal.decision_reason = decision, reason or None
    proposal.decided_at, proposal.decided_by_name = now(), by.name


def _check_person(by: Actor) -> None:
    if by.kind != "user" or not by.may(Permission.PROMOTE):
        raise Forbidden("Which network reads is for administrators to decide, in person.")


def _reason(reason: str) -> str:
    said = reason.strip()
    if not said:
        raise Unprocessable("Say why, in a sentence: it stays on record.")
    if len(said) > LONGEST_REASON:
        raise Unprocessable(f"The reason may have {LONGEST_REASON} characters.")
    return said
