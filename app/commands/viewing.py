"""View: somebody has seen a study, which is an audit event like any other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.records import AuditEvent, Image
from app.records.base import now

VIEWED = "study.viewed"
SENT_AHEAD = "study.sent-ahead"
ONE_LOOK = timedelta(minutes=10)
"""The pictures of a study that are fetched within this time of each other are one view."""


def view(session: Session, *, study_id: UUID, by: Actor, via: str) -> None:
    """The view of a study is on record. `via` is page, api, dicomweb, similar, evaluation and others."""
    audit.record(session, action=VIEWED, by=by, study_id=study_id, via=via)


def look(session: Session, *, study_id: UUID, by: Actor, via: str) -> None:
    """The view is on record, once for all the pictures that belong to one look at the study."""
    if not _happened(session, study_id=study_id, by=by, actions=(VIEWED,)):
        view(session, study_id=study_id, by=by, via=via)


def look_at_images(session: Session, *, images: Collection[str], by: Actor, via: str) -> None:
    """A look at each study that has one of the images, by sha256; those of datasets alone have none."""
    studies = select(Image.study_id).where(Image.sha256.in_(images)).distinct().order_by(Image.study_id)
    for study_id in session.scalars(studies).all():
        look(session, study_id=study_id, by=by, via=via)


def look_at_maps(session: Session, *, outcome: dict[str, Any], by: Actor) -> None:
    """A look at each study whose radiograph is among the mistakes of an evaluation that is given out with the
    maps of what moved the network's score.
    """
    mistakes = outcome["detail"].get("mistakes", [])
    mapped = {mistake.get("sha256", "") for mistake in mistakes if mistake.get("activation_map")}
    look_at_images(session, images=mapped, by=by, via="evaluation")


def send_ahead(session: Session, *, study_id: UUID, by: Actor) -> None:
    """On record, once for a page with its pictures: they went to the reader's browser, which shows them only
    once the reader opens the study. That is a view, and is on record by itself.
    """
    if not _happened(session, study_id=study_id, by=by, actions=(SENT_AHEAD, VIEWED)):
        audit.record(session, action=SENT_AHEAD, by=by, study_id=study_id)


def _happened(session: Session, *, study_id: UUID, by: Actor, actions: tuple[str, ...]) -> bool:
    seen = session.scalar(
        select(
            exists().where(
                AuditEvent.study_id == study_id,
                AuditEvent.action.in_(actions),
                AuditEvent.actor_name == by.name,
                AuditEvent.actor_kind == by.kind,
                AuditEvent.at > now() - ONE_LOOK,
            ),
        ),
    )
    return bool(seen)


def compare(
    session: Session, *, study_id: UUID, cases: Iterable[UUID], bundle_sha256: str | None, by: Actor
) -> None:
    """On record: that somebody asked what is like the study, and that they saw each of these cases."""
    shown = list(cases)
    audit.record(
        session,
        action="study.similar-asked",
        by=by,
        study_id=study_id,
        bundle=bundle_sha256[:12] if bundle_sha256 else None,
        cases=len(shown),
    )
    for case in shown:
        look(session, study_id=case, by=by, via="similar")
