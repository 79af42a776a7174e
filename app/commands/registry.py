"""The registry: which bundles the site has, and which one reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import collate, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.domain.states import DONE
from app.errors import NotFound
from app.records import Bundle, Promotion, Study
from app.records.base import now

_TURN = "hashtextextended(:what, 0)"


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """No network could read: there was no promotion (None), or the bundle of this one cannot be used."""

    promotion: int | None


def register(session: Session, *, sha256: str, manifest: dict[str, Any], by: Actor) -> None:
    """The bundle is known; its bytes are a blob of that name. Known already: nothing changes."""
    created = session.scalar(
        insert(Bundle)
        .values(
            sha256=sha256,
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            manifest=manifest,
            registered_by_name=by.name,
        )
        .on_conflict_do_nothing()
        .returning(Bundle.sha256),
    )
    if created:
        audit.record(session, action="bundle.registered", by=by, subject_id=sha256)


def is_known(session: Session, *, sha256: str) -> bool:
    """True where the bundle is registered."""
    return session.get(Bundle, sha256) is not None


def promote(
    session: Session,
    *,
    sha256: str,
    by: Actor,
    reason: str,
    kind: str = "first",
    proposal_id: UUID | None = None,
) -> None:
    """From the next batch on this bundle reads, and what failed for want of a network is due again.

    Asks nobody: who may, and what must have been shown first, is `app.commands.promotion`'s to say.
    """
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    _take_turns(session)
    session.add(
        Promotion(
            bundle_sha256=sha256,
            promoted_by_name=by.name,
            reason=reason,
            kind=kind,
            proposal_id=proposal_id,
        )
    )
    due = _screen_again(session)
    audit.record(
        session,
        action="bundle.promoted",
        by=by,
        subject_id=sha256,
        reason=reason,
        kind=kind,
        screened_again=due,
    )


def _screen_again(session: Session) -> int:
    """Unsigned studies that failed for want of a network wait for a worker; returns how many.

    The sweeper rings for them as for any that are due.
    """
    failed = (
        select(Study.id)
        .where(
            Study.screening_lacked_network,
            ~Study.screening_due,
            Study.purpose == "current",
            Study.state.not_in([state.value for state in DONE]),
        )
        .order_by(collate(Study.study_instance_uid, "C"))
        .with_for_update()
    )
    due = session.scalars(
        update(Study)
        .where(Study.id.in_(failed))
        .values(
            screening_due=True,
            screening_attempts=0,
            screening_not_before=None,
            screening_again_at=now(),
            screening_lacked_network=False,
        )
        .returning(Study.id)
        .execution_options(synchronize_session=False),
    ).all()
    return len(due)


def is_remedied(session: Session, lacking: Lacking) -> bool:
    """True where something was promoted since; until the commit nobody promotes."""
    session.execute(text(f"SELECT pg_advisory_xact_lock_shared({_TURN})"), {"what": "promotions"})
    return session.scalar(select(func.max(Promotion.sequence))) != lacking.promotion


def promote_first(session: Session, *, sha256: str, by: Actor, reason: str) -> bool:
    """Promotes the first bundle of a site; processes that start together promote one.

    False, and nothing changes, where any was promoted before: which one reads is for people to decide then.
    """
    _take_turns(session)
    if active_bundle(session) is not None:
        return False
    promote(session, sha256=sha256, by=by, reason=reason)
    return True


def active_bundle(session: Session) -> str | None:
    """sha256 of the bundle promoted last; None before the first promotion."""
    return last_promotion(session)[1]


def former(session: Session) -> tuple[str, ...]:
    """Bundles that can be gone back to, the one before this first.

    Each promotion lies on those before it, and going back takes off what lay above: a bundle that was left
    so is no way back until it is promoted again, through the gate.
    """
    stack: list[str] = []
    for sha256, kind in session.execute(
        select(Promotion.bundle_sha256, Promotion.kind).order_by(Promotion.sequence)
    ):
        if sha256 in stack:
            at = stack.index(sha256)
            stack = stack[:at] if kind == "rollback" else stack[:at] + stack[at + 1 :]
        stack.append(sha256)
    return tuple(reversed(stack[:-1]))


def last_promotion(session: Session) -> tuple[int | None, str | None]:
    """Its number, and the sha256 of the bundle it promoted; None before the first."""
    row = session.execute(
        select(Promotion.sequence, Promotion.bundle_sha256).order_by(Promotion.sequence.desc()).limit(1),
    ).one_or_none()
    return (None, None) if row is None else (row.sequence, row.bundle_sha256)


def _take_turns(session: Session) -> None:
    """Until the commit nobody else promotes, so that the order of the promotions is that of their commits."""
    session.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"), {"what": "promotions"})
