"""Bundles that read one after the other, and an administrator who goes back through them meanwhile."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM
from tests.faults.ledger import Ledger
from tests.faults.posting import Unanswered, exchange
from tests.worker.test_screener import another_bundle

BUNDLES = 12
"""On the small disk, seven megabytes each."""


def promote_some(home: Path, database_url: str) -> list[str]:
    """The shipped bundle is promoted under one version after the other; sha256 of those that can be gone back
    to, the next one first.
    """
    blobs, known = Blobs(home / "blobs"), []
    engine = create_engine(database_url)
    with TemporaryDirectory() as folder:
        for number in range(1, BUNDLES + 1):
            path, sha256, manifest = another_bundle(Path(folder), version=f"9.{number}")
            assert blobs.put(path.read_bytes()) == sha256
            with Session(engine) as session, session.begin():
                registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
                registry.promote(session, sha256=sha256, by=SYSTEM, reason="faults", kind="promotion")
            known.append(sha256)
    engine.dispose()
    return known[-2::-1]


class Administrator(threading.Thread):
    """Goes back from bundle to bundle until none is left or told to stop; asks again until answered."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        back: Sequence[str],
        seconds: float,
        ledger: Ledger,
        seed: int,
        stop: threading.Event,
    ) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._headers = headers
        self._back = back
        self._pause = seconds / (len(back) + 1)
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._stop_asked = stop

    def run(self) -> None:
        with self._ledger.broken_clients_told():
            for sha256 in self._back:
                if self._stop_asked.wait(self._rng.uniform(0.5, 1.5) * self._pause):
                    return
                self._go_back(sha256)

    def _go_back(self, sha256: str) -> None:
        self._ledger.going_back.append(sha256)
        unknown = False
        while not self._stop_asked.wait(self._rng.uniform(0.1, 1.0)):
            try:
                answer = exchange(
                    self._url,
                    "POST",
                    f"/api/v1/models/{sha256}/rollback",
                    headers=self._headers,
                    body=json.dumps({"reason": "things break"}).encode(),
                )
            except Unanswered:
                unknown = True
                continue
            self._ledger.count(f"going back {answer.status}")
            if answer.status == 204:
                self._ledger.gone_back.append(sha256)
                return
            if answer.status == 409 and unknown:  # it was done, and the answer was lost
                return
            unknown = unknown or answer.status >= 500
            assert answer.status >= 500 or answer.status == 429, answer.body
