"""The bundles the site knows, and which of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands import shadow
from app.commands.registry import active_bundle
from app.domain.roles import Actor, Permission
from app.errors import NotFound
from app.records import Bundle, Proposal


@dataclass(frozen=True, kw_only=True)
class BundleShown:
    """A bundle with its manifest; `active` is the one that reads."""

    sha256: str
    name: str
    version: str
    active: bool
    registered_at: datetime
    registered_by: str
    manifest: dict[str, Any]


def bundles(session: Session) -> tuple[BundleShown, ...]:
    """All of them, the newest first."""
    active = active_bundle(session)
    rows = session.scalars(select(Bundle).order_by(Bundle.registered_at.desc(), Bundle.sha256))
    return tuple(_shown(row, active=active) for row in rows)


def bundle(session: Session, *, sha256: str) -> BundleShown:
    """Raises NotFound."""
    row = session.get(Bundle, sha256)
    if row is None:
        raise NotFound("There is no such bundle.")
    return _shown(row, active=active_bundle(session))


def proposed(session: Session) -> dict[str, str]:
    """Of bundles whose promotion waits for a decision: sha256, and who proposed it."""
    waiting = select(Proposal.bundle_sha256, Proposal.proposed_by_name).where(Proposal.decision.is_(None))
    return {row.bundle_sha256: row.proposed_by_name for row in session.execute(waiting)}


def proposals_of_others(session: Session, *, who: Actor) -> int:
    """How many promotions wait for this person's decision; none for whoever may not promote."""
    if not who.may(Permission.PROMOTE):
        return 0
    waiting = select(func.count()).where(Proposal.decision.is_(None), Proposal.proposed_by_id != who.id)
    return session.scalar(waiting) or 0


def in_shadow(session: Session) -> str | None:
    """sha256 of the bundle that runs in shadow; None where none does."""
    there = shadow.running(session)
    return None if there is None else there.bundle_sha256


def _shown(row: Bundle, *, active: str | None) -> BundleShown:
    return BundleShown(
        sha256=row.sha256,
        name=row.name,
        version=row.version,
        active=row.sha256 == active,
        registered_at=row.registered_at,
        registered_by=row.registered_by_name,
        manifest=row.manifest,
    )


def findings(session: Session) -> tuple[str, ...]:
    """The findings of the active bundle that rank the worklist; none without one."""
    active = active_bundle(session)
    named = session.scalar(select(Bundle.manifest["findings"]).where(Bundle.sha256 == active))
    if not isinstance(named, list):
        return ()
    return tuple(
        str(finding["name"])
        for finding in named
        if isinstance(finding, dict) and "name" in finding and not finding.get("research")
    )
