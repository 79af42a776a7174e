"""Deliver: finished readings and signatures to webhooks, signed, retried, and kept as dead letters.

The rows are written with what they tell of; sending happens in the duty worker through `worker.deliver`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.commands import audit
from app.commands.destination_address import host_of
from app.domain.press import Press
from app.domain.roles import SYSTEM, Actor
from app.domain.sentence import sentence
from app.errors import Conflict, NotFound, Unprocessable
from app.records import Delivery, Destination, Reading, Review, Study
from app.records.base import now

LONGEST_PAUSE = timedelta(hours=1)
_LONGEST_NAME = 100
_USE = sentence("For prioritisation only. Not a diagnosis.")
DISABLED = sentence("The destination was disabled.")


@dataclass(frozen=True, kw_only=True)
class DeliveryToSend:
    """One message that is due."""

    delivery_id: UUID
    destination_id: UUID
    url: str
    secret: str
    event: str
    payload: dict[str, Any]
    attempt: int


def add_destination(session: Session, *, name: str, url: str, by: Actor, press: Press | None = None) -> str:
    """Readings are sent to `url` from now on; returns the secret that signs them, which is shown once, and to
    the same press again. Raises Unprocessable for an address that `host_of` refuses.
    """
    host = host_of(url)
    if not name.strip() or len(name.strip()) > _LONGEST_NAME:
        raise Unprocessable(f"A destination needs a name of at most {_LONGEST_NAME} characters.")
    secret = (press or Press.alone()).text("destination")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('destinations', 0))"))
    known = session.scalar(select(Destination).where(Destination.name == name.strip()))
    if known is not None:
        if known.secret == secret and known.disabled_at is None:
            return secret
        raise Conflict("There is a destination of that name already.")
    destination = Destination(id=uuid4(), name=name.strip(), url=url, secret=secret, created_by_name=by.name)
    session.add(destination)
    audit.record(session, action="destination.added", by=by, subject_id=destination.id, name=name, host=host)
    return secret


def disable_destination(session: Session, *, destination_id: UUID, by: Actor) -> None:
    """Nothing more is sent there."""
    destination = session.get(Destination, destination_id, with_for_update=True)
    if destination is None:
        raise NotFound("There is no such destination.")
    if destination.disabled_at is None:
        destination.disabled_at, destination.disabled_by_name = now(), by.name
        session.execute(
            update(Delivery)
            .where(Delivery.destination_id == destination.id, Delivery.state == "pending")
            .values(state="dead", last_error=DISABLED),
        )
        audit.record(session, action="destination.disabled", by=by, subject_id=destination.id)


def prepare(session: Session, read: Sequence[tuple[Study, Reading]]) -> list[UUID]:
    """One pending delivery of each study's reading per destination, in the caller's transaction."""
    destinations = session.scalars(select(Destination.id).where(Destination.disabled_at.is_(None))).all()
    deliveries = [
        Delivery(
            id=uuid4(),
            destination_id=destination_id,
            study_id=study.id,
            event=f"study.{reading.outcome}",
            payload=_payload(study, reading),
        )
        for study, reading in read
        for destination_id in destinations
    ]
    session.add_all(deliveries)
    return [delivery.id for delivery in deliveries]


def prepare_review(session: Session, study: Study, review: Review) -> None:
    """One pending delivery of the signature per destination, due once it is final."""
    session.flush()
    session.add_all(
        [
            Delivery(
                id=uuid4(),
                destination_id=destination_id,
                study_id=study.id,
                review_id=review.id,
                event=f"study.{study.state}",
                payload=_review_payload(study, review),
                not_before=review.final_at or review.signed_at,
            )
            for destination_id in session.scalars(
                select(Destination.id).where(Destination.disabled_at.is_(None)),
            )
        ]
    )


def withdraw(session: Session, *, review_id: UUID) -> None:
    """What tells of the signature is never sent; Conflict where a sender was quicker."""
    rows = session.scalars(select(Delivery).where(Delivery.review_id == review_id).with_for_update()).all()
    if any(row.attempts for row in rows):
        raise Conflict(
            "The signature's result is on its way to another system already, so it can no longer be undone. "
            "Open the study and amend it.",
        )
    for row in rows:
        row.state = "withdrawn"


def claim_next(
    session: Session, *, lease: timedelta, besides: Collection[UUID] = ()
) -> DeliveryToSend | None:
    """The message that has been due longest and that nobody else is sending; it is due again after `lease`.

    Destinations in `besides` are passed over. None when nothing is due.
    """
    statement = (
        select(Delivery, Destination)
        .join(Destination, Destination.id == Delivery.destination_id)
        .where(
            Delivery.state == "pending",
            Delivery.not_before <= now(),
            Delivery.destination_id.not_in(besides),
        )
        .order_by(Delivery.not_before)
        .limit(1)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    while (row := session.execute(statement).one_or_none()) is not None:
        delivery, destination = row
        if destination.disabled_at is not None:  # it was while the reading was recorded
            delivery.state, delivery.last_error = "dead", DISABLED
            session.flush()
            continue
        delivery.attempts += 1
        delivery.last_error = None  # of the attempt before: while this one goes on it has none
        delivery.not_before = now() + lease
        return DeliveryToSend(
            delivery_id=delivery.id,
            destination_id=destination.id,
            url=destination.url,
            secret=destination.secret,
            event=delivery.event,
            payload=delivery.payload,
            attempt=delivery.attempts,
        )
    return None


def sign(secret: str, *, timestamp: int, body: bytes) -> str:
    """The value of the FirstRead-Signature header: HMAC-SHA256 over `timestamp.body`, as `t=...,v1=hex`."""
    digest = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def delivered(session: Session, *, delivery_id: UUID) -> None:
    """The destination has answered with success."""
    row = session.get(Delivery, delivery_id, with_for_update=True)
    if row is not None and row.state == "pending":
        row.state, row.delivered_at, row.last_error = "delivered", now(), None
        audit.record(
            session, action="delivery.delivered", by=SYSTEM, study_id=row.study_id, subject_id=row.id
        )


def refused(session: Session, *, delivery_id: UUID, error: str, attempts: int, backoff: timedelta) -> None:
    """It has not: tried again after a doubling pause of at most an hour; dead after `attempts`."""
    row = session.get(Delivery, delivery_id, with_for_update=True)
    if row is None or row.state != "pending":
        return
    row.last_error = error[:500]
    if row.attempts >= attempts:
        row.state = "dead"
        audit.record(session, action="delivery.dead", by=SYSTEM, study_id=row.study_id, subject_id=row.id)
    else:
        row.not_before = now() + min(backoff * 2 ** (row.attempts - 1), LONGEST_PAUSE)


def resend(session: Session, *, delivery_id: UUID, by: Actor) -> None:
    """A dead letter is pending again with all its attempts."""
    row = session.get(Delivery, delivery_id, with_for_update=True)
    if row is None:
        raise NotFound("There is no such delivery.")
    said_state = row.state
    if said_state != "dead":
        raise Conflict(f"The delivery is {said_state}; only a dead one can be sent again.")
    destination = session.get(Destination, row.destination_id)
    if destination is None or destination.disabled_at is not None:
        raise Conflict("The destination was disabled; nothing is sent there any more.")
    row.state, row.attempts, row.not_before = "pending", 0, now()
    audit.record(session, action="delivery.resent", by=by, study_id=row.study_id, subject_id=row.id)


def due(session: Session, *, limit: int = 1000) -> list[UUID]:
    """Pending deliveries whose time has come."""
    return list(
        session.scalars(
            select(Delivery.id)
            .where(Delivery.state == "pending", Delivery.not_before <= now())
            .order_by(Delivery.not_before)
            .limit(limit),
        ),
    )


def _payload(study: Study, reading: Reading) -> dict[str, Any]:
    """What the receiver gets: identifiers to match by, the reading, and what it is not."""
    return {
        "event": f"study.{reading.outcome}",
        "study": _identifiers(study),
        "reading": {
            "id": str(reading.id),
            "outcome": reading.outcome,
            "reason": reading.reason,
            "lane": reading.lane,
            "urgency": reading.urgency,
            "findings": reading.findings,
            "notices": reading.notices,
            "bundle": reading.bundle_sha256,
            "read_at": reading.read_at.isoformat() if reading.read_at else now().isoformat(),
        },
        "use": _USE,
    }


def _review_payload(study: Study, review: Review) -> dict[str, Any]:
    """What the receiver gets of a signature: who said what of the study, and what the network had said."""
    return {
        "event": f"study.{study.state}",
        "study": _identifiers(study),
        "review": {
            "id": str(review.id),
            "amends": str(review.amends_id) if review.amends_id else None,
            "reviewer": review.reviewer_name,
            "verdict": review.verdict,
            "findings": review.findings,
            "network_findings": review.network_findings,
            "comment": review.comment,
            "bundle": review.bundle_sha256,
            "signed_at": review.signed_at.isoformat(),
        },
        "use": _USE,
    }


def _identifiers(study: Study) -> dict[str, str | None]:
    return {
        "id": str(study.id),
        "study_instance_uid": study.study_instance_uid,
        "accession_number": study.accession_number,
        "patient_id": study.patient_id or None,
        "issuer_of_patient_id": study.issuer_of_patient_id or None,
    }
