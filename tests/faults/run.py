"""One whole run: a service, its clients, the faults, the wait until all has settled, and the verdict."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

import psycopg

from tests.faults.clients import Reader, Sender, receiving
from tests.faults.disorder import Disorder
from tests.faults.going_back import Administrator
from tests.faults.judging import Verdict, judge, unsettled
from tests.faults.ledger import Ledger
from tests.faults.pictures import Picture, pictures
from tests.faults.posting import Unanswered
from tests.faults.service import Service, running

SETTLING_SECONDS = 180.0
"""The bound: this long after the last fault and the last post, all is read and delivered."""
_NOBODYS_SHARE = 0.03
_ONCE_EACH_SECONDS = 60.0
"""So long a run may go on for a harm that had no turn yet."""


@dataclass(kw_only=True)
class Run:
    """What one run found."""

    ledger: Ledger
    verdict: Verdict
    faults: Counter[str]
    disk_was_filled: bool
    seconds: float
    settling: float
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def acknowledged(self) -> int:
        return sum(story.acknowledged for story in self.ledger.sent.values())

    def table(self) -> str:
        """Everything, a line each."""
        sent = self.ledger.sent.values()
        doors = Counter(story.door for story in sent)
        lines = {
            "images posted": f"{len(sent)}, by {dict(sorted(doors.items()))}",
            "requests": str(self.counts["requests"]),
            "acknowledged": str(self.acknowledged),
            "refused": str(sum(story.refused for story in sent)),
            "requests cut": str(self.counts["cut"]),
            "requests unanswered": str(self.counts["unanswered"]),
        }
        lines |= {what: str(count) for what, count in sorted(self.counts.items()) if " " in what}
        lines |= {what: str(count) for what, count in self.verdict.found.items()}
        lines |= {f"fault: {what}": str(count) for what, count in sorted(self.faults.items())}
        if not self.disk_was_filled:
            lines["fault: fill the disk"] = "left out: this account may not mount a small disk to fill"
        lines |= {"seconds of faults": f"{self.seconds:.0f}", "seconds to settle": f"{self.settling:.0f}"}
        width = max(map(len, lines))
        return "\n".join(f"{what:<{width}}  {count}" for what, count in lines.items())


def run(*, images: int, seconds: float, senders: int, readers: int, seed: int) -> Run:
    """Posts so many images within about so many seconds of faults; raises AssertionError where the service
    does not come to rest.
    """
    ledger = Ledger()
    with receiving(ledger, seed=seed) as webhook, running(webhook=webhook) as service:
        disorder = Disorder(service, seed=seed, interval=max(1.2, min(4.0, seconds / 60)))
        began = time.monotonic()
        disorder.start()
        try:
            _post(
                service, ledger, images=images, seconds=seconds, senders=senders, readers=readers, seed=seed
            )
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            disorder.once_each.wait(_ONCE_EACH_SECONDS)
        finally:
            disorder.end()
        ended = time.monotonic()
        _await_rest(service)
        verdict = judge(service, ledger, last_kill=disorder.last_kill)
        return Run(
            ledger=ledger,
            verdict=verdict,
            faults=disorder.done,
            disk_was_filled=service.small_disk is not None,
            seconds=ended - began,
            settling=time.monotonic() - ended,
            counts=ledger.counts,
        )


def _post(
    service: Service, ledger: Ledger, *, images: int, seconds: float, senders: int, readers: int, seed: int
) -> None:
    """Every image has been posted as often as its sender cared to."""
    began = time.monotonic()
    strangers = round(images * _NOBODYS_SHARE)
    waiting: queue.Queue[tuple[float, Picture]] = queue.Queue()
    uninvited: queue.Queue[tuple[float, Picture]] = queue.Queue()
    for number, picture in enumerate(islice(pictures(seed), images)):
        line = uninvited if number % (images // strangers) == 0 and strangers else waiting
        line.put((began + seconds * number / images, picture))
    deadline = began + 3 * seconds + 60
    threads = [
        Sender(
            service.up.url,
            service.doors,
            pictures=waiting,
            ledger=ledger,
            seed=seed + number,
            deadline=deadline,
        )
        for number in range(senders)
    ]
    threads.append(
        Sender(
            service.up.url,
            [service.nobody],
            pictures=uninvited,
            ledger=ledger,
            seed=seed - 1,
            deadline=deadline,
        )
    )
    stop = threading.Event()
    reading = [
        Reader(service.up.url, service.reader_key, ledger=ledger, seed=seed + number, stop=stop)
        for number in range(readers)
    ]
    administrator = Administrator(
        service.up.url,
        service.administrator,
        back=service.back,
        seconds=seconds,
        ledger=ledger,
        seed=seed,
        stop=stop,
    )
    for thread in (*threads, *reading, administrator):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    for thread in (*reading, administrator):
        thread.join()
    assert waiting.empty(), f"{waiting.qsize()} images were never posted: the service was away too long"


def _await_rest(service: Service) -> None:
    """Everything admitted is read and everything due is delivered."""
    deadline = time.monotonic() + SETTLING_SECONDS
    at_first: Counter[str] | None = None
    left: object = "the service is not ready"
    while time.monotonic() < deadline:
        try:
            if service.ask("/readyz").status == 200:
                if not (left := unsettled(service)):
                    return
                at_first = at_first or left
        except (Unanswered, OSError, psycopg.Error):
            pass
        time.sleep(0.5)
    raise AssertionError(
        f"after {SETTLING_SECONDS:.0f} s not at rest: {left}, of {at_first} when it was ready again; "
        f"the service said:\n{service.up.said()[-3000:]}"
    )
