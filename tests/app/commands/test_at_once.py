"""The same press twice at the same moment: the second waits for the first one, and finds its work done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands import deidentified, delivery, exporting, keys, people, promotion, registry, shadow
from app.domain.press import Press
from app.domain.roles import SYSTEM, Role, Scope
from app.errors import NotFound
from app.records import ApiKey, AuditEvent, Bundle, Snapshot
from app.records.engine import transaction
from tests.app.commands.test_intake_races import wait_for_a_lock
from tests.app.commands.test_training import ENOUGH, a_snapshot

_LONGEST = 20.0
_PRESS = Press(b"one form of one session")
_BUNDLE = "c" * 64


def add_key(session: Session) -> Any:
    return keys.add_key(session, name="ct 1", scopes=[Scope.INTAKE], by=SYSTEM, press=_PRESS)


def revoke_key(session: Session) -> Any:
    return keys.revoke_key(session, key_id=session.scalars(select(ApiKey.id)).one(), by=SYSTEM)


def add_user(session: Session) -> Any:
    return people.add_user(
        session, username="carol", display_name="", roles=[Role.AUDITOR], by=SYSTEM, press=_PRESS
    )


def add_destination(session: Session) -> Any:
    return delivery.add_destination(
        session, name="ris", url="https://ris.example/in", by=SYSTEM, press=_PRESS
    )


def choose(session: Session) -> Any:
    return promotion.set_people(session, people=1, by=SYSTEM)


def export_bundle(session: Session) -> Any:
    return exporting.ask(
        session, sha256=session.scalars(select(Bundle.sha256)).one(), format="onnx", by=SYSTEM
    )


def export_snapshot(session: Session) -> Any:
    snapshot = session.scalars(select(Snapshot.id)).one()
    return deidentified.ask(session, snapshot_id=snapshot, dates="removed", burned_in="masked", by=SYSTEM)


def end_shadow(session: Session) -> Any:
    with suppress(NotFound):  # it has ended already
        shadow.end(session, sha256=_BUNDLE, by=SYSTEM)


@pytest.mark.parametrize(
    ("press", "action"),
    [
        (add_key, "key.added"),
        (revoke_key, "key.revoked"),
        (add_user, "user.added"),
        (add_destination, "destination.added"),
        (choose, "site.promotion-people-set"),
        (export_bundle, "bundle.export-asked"),
        (export_snapshot, "snapshot.export-asked"),
        (end_shadow, "shadow.ended"),
    ],
)
def test_two_presses_at_once_do_the_work_once_and_are_told_the_same(
    database: str, press: Callable[[Session], Any], action: str
) -> None:
    with transaction() as session:
        registry.register(session, sha256=_BUNDLE, manifest={"name": "kept", "version": "1"}, by=SYSTEM)
        a_snapshot(session, ENOUGH)
        shadow.begin(session, sha256=_BUNDLE, by=SYSTEM)
        if press is revoke_key:
            add_key(session)

    def again() -> Any:
        with transaction() as session:
            return press(session)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            first = press(session)
            session.flush()
            second = pool.submit(again)
            wait_for_a_lock(second)
        assert second.result(_LONGEST) == first
    with transaction() as session:
        done = session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.action == action))
    assert done == 1
