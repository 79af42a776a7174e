"""Where a study stands: the only place that writes `rank_at`, and the bell for live pages."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from app.domain.order import rank_at
from app.records import Study

EVENTS_CHANNEL = "firstread_events"


def place(study: Study, *, network_credit: timedelta, order_credit: timedelta | None = None) -> None:
    """Sets the study's credits and its place."""
    if order_credit is not None:
        study.order_credit = order_credit
    study.network_credit = network_credit
    study.rank_at = rank_at(
        arrived_at=study.arrived_at,
        order_credit=study.order_credit,
        network_credit=study.network_credit,
    )


def announce(session: Session, *studies: Study) -> None:
    """Live pages hear of the studies once the transaction commits; only their ids and states travel."""
    news = array([f"{study.id} {study.state}" for study in studies])
    session.execute(select(func.pg_notify(EVENTS_CHANNEL, func.unnest(news))))
