"""What the outside knows: of each picture, signature and promotion, what was sent and what was answered."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.faults.pictures import Picture


@dataclass
class Sent:
    """One picture's story as its senders know it."""

    kind: str
    good: bool
    door: str
    acknowledged: bool = False
    refused_at: float | None = None
    """When it was first refused for good, by the clock of the database's machine."""
    unknown: int = 0
    """Requests of which nobody knows what became: cut, unanswered, or answered with 5xx."""

    @property
    def refused(self) -> bool:
        return self.refused_at is not None


@dataclass
class Ledger:
    """Written by all clients; read when they have ended."""

    sent: dict[str, Sent] = field(default_factory=dict)
    signed: dict[str, str] = field(default_factory=dict)
    """Acknowledged signatures: the study of each review."""
    signing: Counter[str] = field(default_factory=Counter)
    """Signatures asked for, by study, of which nobody knows what became."""
    going_back: list[str] = field(default_factory=list)
    """Bundles that were asked for by going back, in turn."""
    gone_back: list[str] = field(default_factory=list)
    """Those of them that were acknowledged."""
    counts: Counter[str] = field(default_factory=Counter)
    delivered: dict[str, int] = field(default_factory=dict)
    """How often the receiver took each delivery with success."""
    broken: list[str] = field(default_factory=list)
    """What ended a client before its time: an answer that no client should have got."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def broken_clients_told(self) -> Iterator[None]:
        """What a client's thread dies of is on record."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must not pass over it
            with self.lock:
                self.broken.append("".join(traceback.format_exception(error))[-1500:])

    def sending(self, picture: Picture, door: str) -> None:
        with self.lock:
            self.sent.setdefault(picture.sha256, Sent(picture.kind, picture.good, door))

    def stored(self, picture: Picture) -> None:
        with self.lock:
            self.sent[picture.sha256].acknowledged = True

    def refused(self, picture: Picture) -> None:
        with self.lock:
            story = self.sent[picture.sha256]
            story.refused_at = story.refused_at or time.time()

    def unknown(self, picture: Picture) -> None:
        with self.lock:
            self.sent[picture.sha256].unknown += 1

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1
