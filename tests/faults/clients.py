"""Senders, readers and a receiver, each as impatient and as stubborn as real ones are."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.by_dimse import DimseDoor
from tests.faults.ledger import Ledger
from tests.faults.pictures import Picture
from tests.faults.posting import Cut, Door, Unanswered, exchange

_TRIES = 4
_MOST_IN_ONE = 4


class Sender(threading.Thread):
    """Takes pictures from the common queue until it is empty, and posts them at its own doors."""

    def __init__(
        self,
        url: str,
        doors: Sequence[Door | DimseDoor],
        *,
        pictures: queue.Queue[tuple[float, Picture]],
        ledger: Ledger,
        seed: int,
        deadline: float,
    ) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._doors = doors
        self._pictures = pictures
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._deadline = deadline

    def run(self) -> None:
        with self._ledger.broken_clients_told():
            self._send_all()

    def _send_all(self) -> None:
        while (taken := self._take()) and time.monotonic() < self._deadline:
            door = self._door_for(taken)
            taken = [door.sent(picture) for picture in taken]
            for picture in taken:
                self._ledger.sending(picture, door.name)
            if self._rng.random() < 0.05:  # a second sender of the same, at the same moment
                twin = threading.Thread(target=self._post_too, args=(taken, door), daemon=True)
                twin.start()
                self._post(taken, door)
                twin.join()
            else:
                self._post(taken, door)

    def _post_too(self, taken: list[Picture], door: Door | DimseDoor) -> None:
        with self._ledger.broken_clients_told():
            self._post(taken, door)

    def _take(self) -> list[Picture]:
        """The next picture when its time has come; sometimes several, for one request."""
        taken: list[Picture] = []
        wanted = self._rng.randint(2, _MOST_IN_ONE) if self._rng.random() < 0.08 else 1
        try:
            while len(taken) < wanted:
                due, picture = self._pictures.get_nowait()
                if not taken:
                    time.sleep(max(0.0, due - time.monotonic()))
                taken.append(picture)
        except queue.Empty:
            pass
        return taken

    def _door_for(self, pictures: list[Picture]) -> Door | DimseDoor:
        doors = [door for door in self._doors if all(map(door.takes, pictures))]
        return self._rng.choice([door for door in doors if door.is_for_dicom] * 2 + doors)

    def _post(self, pictures: list[Picture], door: Door | DimseDoor) -> None:
        cut_at = self._rng.choice((self._rng.random(), 0.999, 1.0)) if self._rng.random() < 0.08 else None
        for tried in range(_TRIES):
            if self._once(pictures, door, cut_at=cut_at if tried == 0 else None):
                return
            if self._rng.random() < 0.3:  # this sender gives up, and what it sent may be there or not
                return
            time.sleep(self._rng.uniform(0.2, 2.0))

    def _once(self, pictures: list[Picture], door: Door | DimseDoor, *, cut_at: float | None) -> bool:
        """Whether there was an answer that ends the matter."""
        self._ledger.count("requests")
        abruptly = self._rng.random() < 0.5
        try:
            status, safe = door.post(self._url, pictures, cut_at=cut_at, abruptly=abruptly)
        except Unanswered as unanswered:
            self._ledger.count("cut" if isinstance(unanswered, Cut) else "unanswered")
            for picture in pictures:
                self._ledger.unknown(picture)
            return False
        self._ledger.count(f"answered {status}")
        if status >= 500:
            for picture in pictures:
                self._ledger.unknown(picture)
            return False
        if status == 429:
            return False
        for picture, stored in zip(pictures, safe, strict=True):
            (self._ledger.stored if stored else self._ledger.refused)(picture)
        return True


class Reader(threading.Thread):
    """Signs what is on the worklist until told to stop."""

    def __init__(self, url: str, key: str, *, ledger: Ledger, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._stop_asked = stop

    def run(self) -> None:
        with self._ledger.broken_clients_told():
            self._sign_on()

    def _sign_on(self) -> None:
        while not self._stop_asked.wait(self._rng.uniform(0.1, 0.6)):
            try:
                self._sign_one()
            except Unanswered:
                continue

    def _sign_one(self) -> None:
        listed = exchange(self._url, "GET", "/api/v1/worklist?size=20", headers=self._headers)
        if listed.status != 200:
            return
        ready = [
            row for row in listed.json()["studies"] if row["state"] in ("screened", "withheld", "failed")
        ]
        if not ready:
            return
        row = self._rng.choice(ready)
        study, path = row["id"], f"/api/v1/studies/{row['id']}"
        verdict = {
            "revision": row["revision"],
            "findings": {"pneumonia": self._rng.choice(("present", "absent", "uncertain"))},
            "comment": "read while things broke",
        }
        try:
            answer = exchange(
                self._url, "POST", f"{path}/reviews", headers=self._headers, body=json.dumps(verdict).encode()
            )
        except Unanswered:
            with self._ledger.lock:
                self._ledger.signing[study] += 1
            raise
        with self._ledger.lock:
            self._ledger.counts[f"signature {answer.status}"] += 1
            if answer.status == 201:
                self._ledger.signed[answer.json()["id"]] = study
            elif answer.status >= 500:
                self._ledger.signing[study] += 1


@contextmanager
def receiving(ledger: Ledger, *, seed: int) -> Iterator[str]:
    """Address of a webhook that takes deliveries, and now and then refuses one or answers too late."""
    rng = random.Random(seed)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            how = rng.random()
            if how < 0.05:
                time.sleep(3)
            status = 503 if how > 0.95 else 204
            if status == 204:
                with ledger.lock:
                    name = self.headers["FirstRead-Delivery"]
                    ledger.delivered[name] = ledger.delivered.get(name, 0) + 1
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """The table says enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/results"
    finally:
        server.shutdown()
        server.server_close()
