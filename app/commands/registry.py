"""The registry: which bundles the site has, and which one reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import exists, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.domain.states import DONE, Outcome
from app.errors import NotFound
from app.records import Bundle, Promotion, Reading, Study

NOT_LOADED = "The network could not be loaded."
NONE_PROMOTED = "No network has been promoted at this site."
"""How the reasons of studies begin that failed for want of a network; a promotion has them screened again."""


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


def promote(session: Session, *, sha256: str, by: Actor, reason: str) -> None:
    """From the next batch on this bundle reads, and what failed for want of a network is due again."""
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    _take_turns(session)
    session.add(Promotion(bundle_sha256=sha256, promoted_by_name=by.name, reason=reason))
    due = _screen_again(session)
    audit.record(
        session, action="bundle.promoted", by=by, subject_id=sha256, reason=reason, screened_again=due
    )


def _screen_again(session: Session) -> int:
    """Unsigned studies that failed because no bundle could be loaded wait for a worker; returns how many.

    The sweeper rings for them as for any that are due.
    """
    standing = (
        select(Reading.bundle_sha256, Reading.outcome, Reading.reason)
        .where(Reading.study_id == Study.id)
        .order_by(Reading.sequence.desc())
        .limit(1)
        .lateral("standing")
    )
    failed = (
        select(Study.id)
        .join(standing, true())
        .where(
            ~Study.screening_due,
            Study.purpose == "current",
            Study.state.not_in([state.value for state in DONE]),
            standing.c.outcome == Outcome.FAILED.value,
            standing.c.bundle_sha256.is_(None),
            or_(*(standing.c.reason.startswith(words) for words in (NOT_LOADED, NONE_PROMOTED))),
        )
    )
    due = session.scalars(
        update(Study)
        .where(Study.id.in_(failed))
        .values(screening_due=True, screening_attempts=0, screening_not_before=None)
        .returning(Study.id)
        .execution_options(synchronize_session=False),
    ).all()
    return len(due)


def promoted_since(session: Session, moment: datetime) -> bool:
    """True where a bundle was promoted after `moment`."""
    return bool(session.scalar(select(exists().where(Promotion.promoted_at > moment))))


def promote_new(session: Session, *, sha256: str, by: Actor, reason: str) -> bool:
    """Promotes a bundle that never was before; processes that start together promote it once.

    False, and nothing changes, where it has been promoted already: what the site decided since stands.
    """
    _take_turns(session)
    if session.scalar(select(exists().where(Promotion.bundle_sha256 == sha256))):
        return False
    promote(session, sha256=sha256, by=by, reason=reason)
    return True


def active_bundle(session: Session) -> str | None:
    """sha256 of the bundle promoted last; None before the first promotion."""
    return session.scalar(
        select(Promotion.bundle_sha256).order_by(Promotion.sequence.desc()).limit(1),
    )


def _take_turns(session: Session) -> None:
    """Until the commit nobody else promotes, so that the order of the promotions is that of their commits."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"), {"what": "promotions"})
