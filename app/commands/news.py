"""The usual admission: an image whose bytes, instance and study nobody has heard of, in one statement.

Looking first and then writing row by row would take most of the time an admission takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import Session

from app.commands import blinding
from app.commands.ranking import EVENTS_CHANNEL
from app.dicom.image_header import DICOM, ImageHeader
from app.records import AuditEvent, Base, Image, Study
from app.records.engine import driver_of

_LOCKS = """
    SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)), pg_advisory_xact_lock(hashtextextended(%s, 1)),
        (SELECT value FROM site_choices WHERE name = %s)
"""
"""Of the study and then of the instance: in this order, two senders of one study never hold what the other
waits for. And the share of studies that are read blind, which costs no trip of its own.
"""
_LOCK_ALL = """
    SELECT pg_advisory_xact_lock(hashtextextended(uid, space))
    FROM unnest(%s::text[], %s::bigint[]) AS wanted (uid, space)
"""
_EVENT = ", ".join(
    column.name for column in cast(Table, AuditEvent.__table__).columns if column.identity is None
)
_ADMIT = f"""
    WITH heard AS (
        SELECT EXISTS (SELECT FROM images WHERE sha256 = %(sha256)s)
            OR EXISTS (SELECT FROM images WHERE sop_instance_uid = %(sop_instance_uid)s)
            OR EXISTS (SELECT FROM studies WHERE study_instance_uid = %(study_instance_uid)s) AS of_it
    ), study AS (
        INSERT INTO studies SELECT new.*
        FROM heard, json_populate_record(NULL::studies, %(study)s) AS new WHERE NOT of_it RETURNING id
    ), image AS (
        INSERT INTO images SELECT new.*
        FROM study, json_populate_record(NULL::images, %(image)s) AS new
        ON CONFLICT (sha256) DO NOTHING RETURNING id
    ), event AS (
        INSERT INTO audit_events ({_EVENT})
        SELECT {_EVENT} FROM image, json_populate_record(NULL::audit_events, %(event)s)
    )
    SELECT of_it, image.id, CASE WHEN image.id IS NOT NULL THEN pg_notify(%(channel)s, %(news)s)::text END
    FROM heard LEFT JOIN image ON true
"""  # noqa: S608, names of ours only
"""Its snapshot is taken while the locks are held, so it sees what senders before this one have committed."""


def take_turns(session: Session, headers: Iterable[ImageHeader]) -> None:
    """Until the commit, other senders of these studies and SOPInstanceUIDs wait.

    Taken for all files of a request before the first, and in one order, so that requests of several files
    never wait for each other in a circle.
    """
    known = [header for header in headers if header.media_type == DICOM]
    studies = sorted({str(header.study_instance_uid) for header in known})
    instances = sorted({str(header.sop_instance_uid) for header in known})
    spaces = [0] * len(studies) + [1] * len(instances)
    driver_of(session).execute(_LOCK_ALL, (studies + instances, spaces))


def admit_news(session: Session, *, study: Study, image: Image, event: AuditEvent) -> bool:
    """True where the rows were written and will be announced; False where something of them was known before.

    False leaves nothing written. Either way the senders of one study, and of one SOPInstanceUID whatever its
    study, take turns from here to the commit, and it is drawn whether the study is read blind. The objects
    themselves stay outside the session.
    """
    session.flush()
    driver = driver_of(session)
    known = driver.execute(_LOCKS, (study.study_instance_uid, image.sop_instance_uid, blinding.BLIND_SHARE))
    share = (known.fetchone() or (None,))[-1]
    study.blind = not study.is_sample and blinding.is_drawn(
        blinding.USUAL_SHARE if share is None else float(share)
    )
    row = driver.execute(
        _ADMIT,
        {
            "sha256": image.sha256,
            "sop_instance_uid": image.sop_instance_uid,
            "study_instance_uid": study.study_instance_uid,
            "study": _as_json(study),
            "image": _as_json(image),
            "event": _as_json(event),
            "channel": EVENTS_CHANNEL,
            "news": f"{study.id} {study.state}",
        },
    ).fetchone()
    assert row is not None
    heard, written, _ = row
    if not heard and written is None:  # the same picture won the race in another transaction
        driver.execute("DELETE FROM studies WHERE id = %s", (study.id,))
    return written is not None


def _as_json(row: Base) -> str:
    """The row as PostgreSQL reads one; what the object leaves open has its column's default."""
    values = {}
    for column in cast(Table, row.__table__).columns:
        value = getattr(row, column.name)
        if value is None and column.default is not None:
            default = column.default.arg  # type: ignore[attr-defined]
            value = default(None) if callable(default) else default
        if value is not None:
            values[column.name] = value
    return json.dumps(values, ensure_ascii=False, default=_in_words)


def _in_words(value: Any) -> str:
    """Durations, moments, dates and ids as PostgreSQL reads them."""
    return f"{value.total_seconds()} s" if isinstance(value, timedelta) else str(value)
