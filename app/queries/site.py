"""What the administrators of the site have chosen, and what has come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands.blinding import BLIND_SHARE, USUAL_SHARE
from app.records import Review, SiteChoice, Study
from app.records.review import stands


@dataclass(frozen=True, kw_only=True)
class BlindShare:
    """Per cent of new studies that are read blind; `chosen_at` and `chosen_by` None where nobody chose."""

    share: float
    chosen_at: datetime | None
    chosen_by: str | None


@dataclass(frozen=True, kw_only=True)
class BlindReads:
    """Drawn studies, those of them that are signed, and standing blind signatures of all studies."""

    drawn: int
    signed: int
    signatures: int


def blind_share(session: Session) -> BlindShare:
    """The share that stands."""
    chosen = session.get(SiteChoice, BLIND_SHARE)
    if chosen is None:
        return BlindShare(share=USUAL_SHARE, chosen_at=None, chosen_by=None)
    return BlindShare(share=float(chosen.value), chosen_at=chosen.chosen_at, chosen_by=chosen.chosen_by_name)


def blind_reads(session: Session) -> BlindReads:
    """How many there have been."""
    drawn, signed = session.execute(
        select(func.count(), func.count(Study.signed_at)).select_from(Study).where(Study.blind)
    ).one()
    signatures = session.scalar(select(func.count()).select_from(Review).where(Review.blind, stands()))
    return BlindReads(drawn=drawn, signed=signed, signatures=signatures or 0)
