"""The registry: which bundles the site has, and which one reads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.errors import NotFound
from app.records import Bundle, Promotion


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


def promote(session: Session, *, sha256: str, by: Actor, reason: str) -> None:
    """From the next batch on this bundle reads."""
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    _take_turns(session)
    session.add(Promotion(bundle_sha256=sha256, promoted_by_name=by.name, reason=reason))
    audit.record(session, action="bundle.promoted", by=by, subject_id=sha256, reason=reason)


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
