"""The audit trail's seals: what writers lose by them, and how long sealing and verifying take.

    .venv/bin/python -m bench.audit [--events 300000] [--writes 1500]

On a PostgreSQL of the bench's own, durable as the service's. Four writers record an event per transaction,
in turn alone and beside a sealer that never rests; a site's rests 30 seconds after each round.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import threading
import time

from sqlalchemy import text

from app.commands import audit, audit_seals
from app.domain.roles import SYSTEM
from app.embedded.postgres import EmbeddedPostgres
from app.queries import audit_chain
from app.records.engine import forget_engine, transaction
from app.settings import settings
from migrations import upgrade

_WRITERS = 4
_ROUNDS = 5
_FILL = text(
    "INSERT INTO audit_events"
    " (at, action, actor_kind, actor_id, actor_name, address, study_id, details, count)"
    " SELECT now(), 'study.viewed', 'user', gen_random_uuid(), 'alice', '192.0.2.1', gen_random_uuid(),"
    " jsonb_build_object('via', 'page', 'number', number), 1 FROM generate_series(1, :events) AS number"
)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--writes", type=int, default=1500, help="of each writer in each of the rounds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, EmbeddedPostgres.temporary(fsync=True) as server:
        os.environ |= {"FIRSTREAD_HOME": home, "FIRSTREAD_DATABASE_URL": server.url_of("postgres")}
        settings.cache_clear()
        upgrade(server.url_of("postgres"))
        rates: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(_ROUNDS):
            for beside_sealer, found in rates.items():
                found.append(_writes(asked.writes, beside_sealer=beside_sealer))
        alone, beside = (statistics.median(found) for found in rates.values())
        print(f"written alone                {alone:8.0f} events/s, median of {_ROUNDS}")
        print(f"written beside a sealer      {beside:8.0f} events/s")
        with transaction() as session:
            session.execute(_FILL, {"events": asked.events})
        began = time.perf_counter()
        seals = _seal()
        print(f"{asked.events} events sealed in {time.perf_counter() - began:.1f} s, {seals} seals")
        before, began = _memory(), time.perf_counter()
        with transaction() as session:
            found = audit_chain.verify(session)
        seconds = time.perf_counter() - began
        assert not found.findings, found.findings
        print(f"{found.events} events of {found.seals} seals verified in {seconds:.1f} s")
        print(f"memory of the process: {before:.0f} MB before, {_memory():.0f} MB at most")
        forget_engine()


def _writes(count: int, *, beside_sealer: bool) -> float:
    done = threading.Event()
    sealer = threading.Thread(target=_seal_on, args=(done,))
    writers = [threading.Thread(target=_write, args=(count,)) for _ in range(_WRITERS)]
    if beside_sealer:
        sealer.start()
    began = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    seconds = time.perf_counter() - began
    done.set()
    if beside_sealer:
        sealer.join()
    return _WRITERS * count / seconds


def _write(count: int) -> None:
    for _ in range(count):
        with transaction() as session:
            audit.record(session, action="study.viewed", by=SYSTEM, via="page")


def _seal_on(done: threading.Event) -> None:
    while not done.is_set():
        _seal()


def _seal() -> int:
    with transaction() as session:
        mark = audit_seals.watermark(session)
    settled = False
    while not settled:
        with transaction() as session:
            settled = audit_seals.has_settled(session, mark)
    made = 0
    while True:
        with transaction() as session:
            if audit_seals.seal_next(session, up_to=mark.id) is None:
                return made
        made += 1


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
