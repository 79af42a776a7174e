"""Many senders and many readers at once, for long: what they wait, what is refused, and what memory grows by.

    .venv/bin/python -m bench.soak [--minutes 10] [--senders 200] [--readers 50]

The service that `make run` starts, and all clients, on this one machine. A sender posts one radiograph after
another, each as soon as the one before is accepted, and comes back after Retry-After where it is told to. A
reader is a radiologist of their own, signed in with a live stream open, whose client asks for pages and
pictures as a browser does, and who signs (`bench.radiologists`). The first fifth is for warming up; growth
is the slope of each role's memory after it (PSS, without PostgreSQL's shared buffers, which fill once to the
size that is set).

Ends with 1 where anything but 429 and 503 went wrong, where one of those did not say when to come back
(Retry-After) or did not succeed on trying again, or where memory grew by more than `--growth` megabytes an
hour. `tests/faults/test_load.py` is the short form.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bench.crowds import Heard, crowd, listen, send
from bench.memory import megabytes_of_its_own
from bench.pictures import fresh_jpegs, originals
from bench.radiologists import read, signed_in
from bench.service import Sender, Service, post_study, running_service

_GROWN_MB_AN_HOUR = 120.0
_READ_BEFORE = 20
"""Studies that readers find when they come."""


@dataclass(frozen=True)
class Soak:
    """What one run found."""

    heard: Heard
    sizes: dict[str, list[tuple[float, float]]]
    backlog: int
    """Studies without a reading when the senders stopped."""
    drained: float
    """Seconds until the last of them had one."""


def main() -> int:
    """Prints the tables."""
    options = _options()
    found = soak(senders=options.senders, readers=options.readers, seconds=60 * options.minutes)
    grown = _report(found, options)
    return 1 if found.heard.wrong or any(rate > options.growth for rate in grown.values()) else 0


def soak(*, senders: int, readers: int, seconds: float, **environment: str) -> Soak:
    """So many clients for so long, at a service with these settings; ends when all they sent is read."""
    with tempfile.TemporaryDirectory() as folder, running_service(**environment) as service:
        pictures = originals(Path(folder))
        sending = {"Authorization": f"Bearer {service.key}", "Accept": "application/json"}
        sender = Sender(service.url, headers=sending)
        service.await_screened(
            [post_study(sender, image)[1] for image in islice(fresh_jpegs(pictures), _READ_BEFORE)]
        )
        radiologists = signed_in(service, readers)
        # Readers wait for the service, not for the senders' interpreter: each crowd is a process of its own.
        with ExitStack() as crowds:
            heard = [
                crowds.enter_context(crowd(send, [sending] * senders, service, pictures)),
                crowds.enter_context(crowd(read, radiologists, service, pictures)),
                crowds.enter_context(crowd(listen, radiologists, service, pictures)),
            ]
            sizes = _sizes(service, seconds=seconds)
        met = _together(heard)
        backlog = [study for study in met.accepted if study not in service.screened]
        ended = time.monotonic()
        service.await_screened(list(met.accepted), seconds=3600)
        drained = time.monotonic() - ended
        met.seconds["to a reading"] = [service.screened[study] - at for study, at in met.accepted.items()]
    return Soak(heard=met, sizes=sizes, backlog=len(backlog), drained=drained)


def _together(heard: list[list[Heard]]) -> Heard:
    met = Heard()
    for one in (one for crowds in heard for one in crowds):
        met.seconds |= one.seconds
        met.refused += one.refused
        met.wrong += one.wrong
        met.accepted |= one.accepted
        met.events += one.events
    return met


def _sizes(service: Service, *, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """PSS in MB of each role without shared segments, every two seconds."""
    began = time.monotonic()
    sizes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    while (at := time.monotonic() - began) < seconds:
        now: Counter[str] = Counter()
        for pid, role in service.processes().items():
            try:
                now[role] += megabytes_of_its_own(pid)
            except OSError:  # it ended meanwhile
                continue
        for role, size in now.items():
            sizes[role].append((at, size))
        print(f"\r{at:4.0f} of {seconds:.0f} s", end="", file=sys.stderr, flush=True)
        time.sleep(2)
    return sizes


def _report(found: Soak, options: argparse.Namespace) -> dict[str, float]:
    """Prints the tables; megabytes an hour by which each role grew."""
    heard = found.heard
    print(f"\n{options.senders} senders, {options.readers} readers, {options.minutes:g} minutes")
    rate = len(heard.accepted) / options.minutes / 60
    print(f"  accepted {len(heard.accepted)}, {rate:.1f} a second; {heard.events} lines of live streams")
    print(f"  {found.backlog} had no reading at the end; the last of them had it {found.drained:.0f} s later")
    print(f"  refused and tried again: {dict(heard.refused) or 'none'}")
    print(f"  wrong: {dict(heard.wrong) or 'nothing'}")
    print(f"{'seconds':<28} {'times':>7} {'p50':>8} {'p95':>8} {'p99':>8} {'most':>8}")
    for what, waits in heard.seconds.items():
        p50, p95, p99, most = np.percentile(waits, [50, 95, 99, 100])
        print(f"  {what:<26} {len(waits):7d} {p50:8.3f} {p95:8.3f} {p99:8.3f} {most:8.3f}")
    print(f"{'PSS in MB':<28} {'then':>8} {'at last':>8}   {'an hour':>8}")
    grown = {}
    for role, measured in sorted(found.sizes.items()):
        at, size = np.array(measured[len(measured) // 5 :]).T
        if len(at) < 10:
            continue
        grown[role] = float(np.polyfit(at, size, 1)[0]) * 3600
        print(f"  {role:<26} {size[0]:8.1f} {size[-1]:8.1f}   {grown[role]:+8.1f}")
    return grown


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--growth", type=float, default=_GROWN_MB_AN_HOUR, help="megabytes an hour")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
