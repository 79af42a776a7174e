"""A candidate reads in shadow what the active bundle reads: begun and ended by an administrator, done by the
training worker, kept beside the readings and shown on no study.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, jobs
from app.commands.registry import active_bundle
from app.commands.stored_header import header_as_json, header_from_json
from app.domain.roles import SYSTEM, Actor
from app.domain.states import Outcome
from app.errors import Conflict, NotFound
from app.records import Bundle, Image, ImageReading, Job, Reading, Shadow, ShadowReading
from app.records.base import now
from app.settings import settings

KIND = "shadow"
AT_ONCE = 64
"""Readings of one job: a training that waits behind it waits for minutes, not for hours."""
_PAUSE = timedelta(minutes=10)
"""After a job that came to nothing the next is asked for so much later."""
_OUT_OF_TURN = timedelta(hours=1)
"""Readings are read in their order. One recorded late, or by a clock that is behind, is so late at most."""


def begin(session: Session, *, sha256: str, by: Actor) -> UUID:
    """From now on the bundle also reads what the active one reads. Begun already: nothing changes.

    Raises NotFound, and Conflict for the bundle that reads and while another one runs in shadow.
    """
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    _take_turns(session)
    there = running(session)
    if there is not None:
        if there.bundle_sha256 == sha256:
            return there.id
        raise Conflict("Another network runs in shadow; end that first.")
    if active_bundle(session) == sha256:
        raise Conflict("This network reads the worklist; in shadow runs one that does not.")
    shadow = Shadow(bundle_sha256=sha256, begun_by_name=by.name)
    session.add(shadow)
    session.flush()
    audit.record(session, action="shadow.begun", by=by, subject_id=shadow.id, bundle=sha256)
    return shadow.id


def end(session: Session, *, sha256: str, by: Actor) -> None:
    """It reads no more; what it has read stays. Raises NotFound where it does not run in shadow."""
    _take_turns(session)
    there = running(session)
    if there is None or there.bundle_sha256 != sha256:
        raise NotFound("This network does not run in shadow.")
    there.ended_at, there.ended_by_name = now(), by.name
    audit.record(session, action="shadow.ended", by=by, subject_id=there.id, bundle=sha256)


def give_way(session: Session, *, sha256: str, by: Actor) -> None:
    """The bundle is to read the worklist: if it runs in shadow, that has ended."""
    _take_turns(session)
    there = running(session)
    if there is not None and there.bundle_sha256 == sha256:
        end(session, sha256=sha256, by=by)


def running(session: Session) -> Shadow | None:
    """The one that has not ended."""
    return session.scalars(
        select(Shadow).where(Shadow.ended_at.is_(None)).order_by(Shadow.begun_at).limit(1)
    ).one_or_none()


def ask_due(session: Session) -> UUID | None:
    """A job where a shadow has something to read and none waits or runs; None else. Ring with it after the
    commit.
    """
    there = running(session)
    if there is None or not _unread(session, there, limit=1):
        return None
    last = session.scalars(
        select(Job).where(Job.kind == KIND, Job.subject_id == there.id).order_by(Job.sequence.desc()).limit(1)
    ).one_or_none()
    if last is not None and (
        last.ended_at is None or (last.state != "done" and now() - last.ended_at < _PAUSE)
    ):
        return None
    return jobs.ask(session, kind=KIND, subject_id=there.id, by=SYSTEM)


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """The next readings with the files of their images; none where it has ended."""
    there = session.get_one(Shadow, subject_id)
    readings = _unread(session, there, limit=AT_ONCE) if there.ended_at is None else []
    images: dict[UUID, list[dict[str, Any]]] = {reading: [] for reading in readings}
    rows = session.execute(
        select(ImageReading.reading_id, Image)
        .join(Image, Image.id == ImageReading.image_id)
        .where(ImageReading.reading_id.in_(readings))
        .order_by(Image.arrived_at, Image.id)
    )
    for reading_id, image in rows:
        images[reading_id].append(
            {
                "image_id": str(image.id),
                "path": _path(blobs, image.sha256),
                "header": header_as_json(header_from_json(image.header)),
                "source": image.source,
            }
        )
    configured = settings()
    return {
        "bundle": str(blobs.path(there.bundle_sha256)),
        "readings": [{"id": str(reading), "images": images[reading]} for reading in readings],
        "paediatric_sources": list(configured.paediatric_sources),
        "decoder_seconds": configured.decoder_timeout,
        "decoder_memory": configured.decoder_memory,
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:  # noqa: ARG001
    """What it says stands beside the readings; nothing of the studies changes."""
    rows = [
        {
            "shadow_id": subject_id,
            "reading_id": UUID(said["id"]),
            "outcome": said["outcome"],
            "reason": said["reason"],
            "lane": said["lane"],
            "urgency": said["urgency"],
            "findings": said["findings"],
            "runtime": answer["runtime"],
        }
        for said in answer["readings"]
    ]
    if rows:
        session.execute(insert(ShadowReading).values(rows).on_conflict_do_nothing())
    audit.record(session, action="shadow.read", by=SYSTEM, subject_id=subject_id, readings=len(rows))


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """The job says why; the sweeper asks again after a while."""


def unread_count(session: Session, shadow: Shadow) -> int:
    """Readings that the shadow has still to read, found without looking at all that it has read."""
    last = session.scalar(
        select(Reading.read_at)
        .join(ShadowReading, ShadowReading.reading_id == Reading.id)
        .where(ShadowReading.shadow_id == shadow.id)
        .order_by(ShadowReading.read_at.desc())
        .limit(1)
    )
    due = _due_of(shadow)
    if last is not None:
        due = due.where(Reading.read_at >= last - _OUT_OF_TURN)
    return session.scalar(select(func.count()).select_from(due.subquery())) or 0


def _take_turns(session: Session) -> None:
    """Until the commit nobody else begins one, and nobody promotes."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('shadow', 0))"))


def _unread(session: Session, shadow: Shadow, *, limit: int) -> list[UUID]:
    return list(session.scalars(_due_of(shadow).order_by(Reading.sequence).limit(limit)))


def _due_of(shadow: Shadow) -> Any:
    """Readings that a network made since it began, and that it has not read."""
    return select(Reading.id).where(
        Reading.read_at >= shadow.begun_at,
        Reading.bundle_sha256.is_not(None),
        Reading.bundle_sha256 != shadow.bundle_sha256,
        Reading.outcome != Outcome.FAILED.value,
        ~exists().where(ShadowReading.shadow_id == shadow.id, ShadowReading.reading_id == Reading.id),
    )


def _path(blobs: Blobs, sha256: str) -> str | None:
    try:
        return str(blobs.path(sha256))
    except NotFound:
        return None
