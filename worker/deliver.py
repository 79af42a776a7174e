"""Send finished readings to webhooks: signed, with a deadline, without following redirects.

A destination that is slow or dead may hold two threads and no more, and all of them together no more than
`ROUNDS`: whatever does not answer, the sweeper and the sealer have a thread. Neither addresses nor what was
sent are logged.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address
from uuid import UUID

import httpx
import structlog

from app import tracing
from app.commands import delivery
from app.commands.delivery import DeliveryToSend
from app.domain.addresses import Address, Range, may_be_sent_in_clear, may_be_sent_to, plain, ranges_of
from app.domain.sentence import sentence
from app.errors import Unavailable
from app.queries.deliveries import images_told_of
from app.records.engine import transaction
from app.settings import Settings

ROUNDS = 4
"""Threads that send at a time, to however many destinations."""
_AT_ONCE = 2
"""Messages on their way to one destination at a time."""
_BEYOND_TIMEOUT = timedelta(seconds=30)
"""After the longest a send can take plus this, a message whose sender died is due again."""

_log = structlog.get_logger(__name__)


class Courier:
    """Sends whatever is due, from several threads at a time."""

    def __init__(self, configuration: Settings) -> None:
        self._timeout = configuration.webhook_timeout
        self._attempts = configuration.webhook_attempts
        self._backoff = timedelta(seconds=configuration.webhook_backoff)
        self._allowed = ranges_of(configuration.destination_ranges)
        self._lock = threading.Lock()
        self._busy: Counter[UUID] = Counter()
        self._rounds = threading.Semaphore(ROUNDS)

    def drain(self, *, stop: threading.Event) -> int:
        """Sends what is due, the longest due first, until nothing is or `stop`; returns how many arrived.
        Where `ROUNDS` threads are at it this one leaves it to them.

        A message may arrive twice (its FirstRead-Delivery is the same): a crash between the sending and the
        record of it sends it again. A database that does not answer ends the round; the sweeper rings again.
        """
        if not self._rounds.acquire(blocking=False):
            return 0
        arrived = 0
        try:
            while not stop.is_set():
                with self._next() as message:
                    if message is None:
                        break
                    arrived += self._deliver(message)
        except Unavailable:
            _log.warning("database_silent")
        finally:
            self._rounds.release()
        return arrived

    @contextmanager
    def _next(self) -> Iterator[DeliveryToSend | None]:
        with self._lock:
            full = {destination for destination, count in self._busy.items() if count >= _AT_ONCE}
            with transaction() as session:
                message = delivery.claim_next(
                    session, lease=timedelta(seconds=self._timeout) + _BEYOND_TIMEOUT, besides=full
                )
            if message is not None:
                self._busy[message.destination_id] += 1
        try:
            yield message
        finally:
            if message is not None:
                with self._lock:
                    self._busy[message.destination_id] -= 1

    def _deliver(self, message: DeliveryToSend) -> bool:
        began = tracing.now()
        error = asyncio.run(send(message, seconds=self._timeout, allowed=self._allowed))
        ended = tracing.now()
        with transaction() as session:
            if error is None:
                delivery.delivered(session, delivery_id=message.delivery_id)
            else:
                delivery.refused(
                    session,
                    delivery_id=message.delivery_id,
                    error=error,
                    attempts=self._attempts,
                    backoff=self._backoff,
                )
        images = _images(message)
        tracing.tell(
            "deliver",
            images,
            step=(began, ended),
            facts={
                "delivery": str(message.delivery_id),
                "attempt": message.attempt,
                "outcome": "delivered" if error is None else "refused",
            },
        )
        _log.info(
            "delivery_tried",
            delivery=str(message.delivery_id),
            attempt=message.attempt,
            arrived=error is None,
            **tracing.found_by(*images),
        )
        return error is None


async def send(message: DeliveryToSend, *, seconds: float, allowed: Sequence[Range]) -> str | None:
    """Posts the message; None where the answer was a 2xx within `seconds` in all, otherwise what went wrong.

    A redirect is a refusal: it could lead the signed message to an address nobody approved. A name is looked
    up once, and the connection goes to the address that was judged: it cannot be another one by then. Without
    TLS it goes to no public one.
    """
    timestamp = int(time.time())
    body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "FirstRead",
        "FirstRead-Event": message.event,
        "FirstRead-Delivery": str(message.delivery_id),
        "FirstRead-Attempt": str(message.attempt),
        "FirstRead-Signature": delivery.sign(message.secret, timestamp=timestamp, body=body),
    }
    try:
        async with asyncio.timeout(seconds):
            url = httpx.URL(message.url)
            address = await _address(url, allowed=allowed)
            async with (
                httpx.AsyncClient(
                    verify=_certificates(), trust_env=False, follow_redirects=False, timeout=seconds
                ) as client,
                client.stream(
                    "POST",
                    url.copy_with(host=str(address)),
                    content=body,
                    headers=headers | {"Host": url.netloc.decode()},
                    extensions={"sni_hostname": url.host},  # and the certificate must be the name's
                ) as response,
            ):
                status = response.status_code
    except _Refused as refused:
        return str(refused)
    except (TimeoutError, httpx.TimeoutException):
        return sentence(f"The destination did not answer within {seconds:g} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
        return sentence(f"The destination could not be reached ({type(error).__name__}).")
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return sentence(f"The destination answered {status}, a redirect, which is not followed.")
    return sentence(f"The destination answered {status}.")


def _images(message: DeliveryToSend) -> list[UUID]:
    """In whose traces the message belongs: those of the reading that it tells of; a signature is in none."""
    reading = message.payload.get("reading")
    if reading is None or not tracing.is_on():
        return []
    try:
        with transaction() as session:
            return images_told_of(session, UUID(reading["id"]))
    except Unavailable:
        return []


class _Refused(Exception):
    """The destination's name stands for no address that may be sent to; says why in a sentence."""


async def _address(url: httpx.URL, *, allowed: Sequence[Range]) -> Address:
    """The first of its addresses that may be sent to; raises _Refused where there is none."""
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = [plain(ip_address(str(place[0]).partition("%")[0])) for *_, place in found]
    if not (reached := [address for address in addresses if may_be_sent_to(address, allowed)]):
        raise _Refused(
            sentence(
                "The destination's address is none this service may send to (FIRSTREAD_DESTINATION_RANGES)."
            )
        )
    if url.scheme != "https":
        reached = [address for address in reached if may_be_sent_in_clear(address, allowed)]
    if not reached:
        raise _Refused(
            sentence(
                "Nothing was sent: the destination is named by http, and its address is a public one, which"
                " results reach by https alone."
            )
        )
    return reached[0]


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
