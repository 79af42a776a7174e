"""The harness sees what it is there to see."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import text

from app.commands.audit import RefusalLog
from app.domain.roles import Actor
from app.records.engine import transaction
from tests.faults.judging import Verdict, _counts
from tests.faults.ledger import Ledger, Sent
from tests.faults.posting import Door
from tests.faults.service import Service

_FLOOD = 30


@dataclass
class _OnlyDatabase:
    nobody: Door

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction() as session:
            return [tuple(row) for row in session.execute(text(statement))]


def _judged(ledger: Ledger, **last_kill: float) -> Verdict:
    verdict = Verdict()
    service = cast(Service, _OnlyDatabase(Door(name="nobody", headers={})))
    _counts(service, ledger, verdict, {part.replace("_", " "): at for part, at in last_kill.items()})
    return verdict


def test_refusals_that_nothing_counts_are_told_unless_a_kill_may_have_lost_them(database: str) -> None:
    log = RefusalLog(burst=10)
    by = Actor(kind="key", id=None, name="faults intake", address="127.0.0.1")
    ledger = Ledger()
    refused_at = time.time() - 100  # long enough to be in a row by now
    for number in range(_FLOOD):
        log.refuse(by=by, reason="unreadable-file", sha256=f"{number:064x}")
        ledger.sent[f"{number:064x}"] = Sent("damaged", good=False, door="rest", refused_at=refused_at)

    what = "refused since the last kill and in no row's count"
    assert _judged(ledger).found[what] == _FLOOD - 10
    assert _judged(ledger).broken
    killed = _judged(ledger, web_server=refused_at - 1)
    assert not killed.broken
    assert killed.found["refused files in no row's count, in all"] == _FLOOD - 10
    assert _judged(ledger, DICOM_listener=refused_at - 1).broken  # another process than the one that counted

    log.flush()
    assert _judged(ledger).found == {
        "refused files since the last kill": _FLOOD,
        "refused files in no row's count, in all": 0,
        what: 0,
    }
