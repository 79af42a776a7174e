"""How often a password may be tried: per user name, whoever asks, and per address, whatever name it tries.

The counts live in the broker, so that all web processes count together; while it is silent each counts alone,
which still leaves guessing hopeless.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from app.domain.addresses import subscriber
from app.errors import TooManyRequests

PER_USER = RateLimitItemPerMinute(10, 15, namespace="user")
"""Attempts on one name in 15 minutes; a right password forgets them."""
PER_ADDRESS = RateLimitItemPerMinute(50, 15, namespace="address")
"""Wrong answers to one address in 15 minutes; a hospital may come from one address."""
TO_PROVIDER = RateLimitItemPerMinute(300, 15, namespace="provider")
"""Ways to the provider that an address begins in 15 minutes; each is kept until it ends."""
_SILENT_SECONDS = 2.0

Answer = TypeVar("Answer")


class SignInThrottle:
    """Counts attempts to sign in; safe to use from several threads."""

    def __init__(self, broker_url: str | None = None) -> None:
        """`broker_url` is that of a Redis or Valkey, as `redis://`, `rediss://` or `unix://`."""
        self._alone = MovingWindowRateLimiter(MemoryStorage())
        self._together = self._alone
        if broker_url is not None:
            self._together = MovingWindowRateLimiter(
                RedisStorage(
                    broker_url.replace("unix://", "redis+unix://", 1)
                    if broker_url.startswith("unix://")
                    else broker_url,
                    key_prefix="firstread:sign-in",
                    wrap_exceptions=True,
                    socket_timeout=_SILENT_SECONDS,
                    socket_connect_timeout=_SILENT_SECONDS,
                )
            )

    def check(self, *, username: str, address: str | None) -> None:
        """Counts an attempt; raises TooManyRequests where there were too many."""
        self._ask(lambda limiter: _check(limiter, name=_short(username), address=subscriber(address)))

    def to_provider(self, *, address: str | None) -> None:
        """Counts a way to the provider; raises TooManyRequests where there were too many."""
        self._ask(lambda limiter: _hit(limiter, TO_PROVIDER, subscriber(address)))

    def wrong(self, *, address: str | None) -> None:
        """The attempt that was checked had a wrong password."""
        self._ask(lambda limiter: limiter.hit(PER_ADDRESS, subscriber(address)))

    def right(self, *, username: str) -> None:
        """The attempt that was checked had the right password."""
        self._ask(lambda limiter: limiter.clear(PER_USER, _short(username)))

    def _ask(self, question: Callable[[MovingWindowRateLimiter], Answer]) -> Answer:
        try:
            return question(self._together)
        except StorageError:
            return question(self._alone)


def _check(limiter: MovingWindowRateLimiter, *, name: str, address: str) -> None:
    if not limiter.test(PER_ADDRESS, address):
        raise _too_many(limiter, PER_ADDRESS, address)
    _hit(limiter, PER_USER, name)


def _hit(limiter: MovingWindowRateLimiter, limit: RateLimitItemPerMinute, key: str) -> None:
    if not limiter.hit(limit, key):
        raise _too_many(limiter, limit, key)


def _too_many(limiter: MovingWindowRateLimiter, limit: RateLimitItemPerMinute, key: str) -> TooManyRequests:
    free_at = limiter.get_window_stats(limit, key).reset_time
    seconds = max(1, int(free_at - time.time()) + 1)
    minutes = -(-seconds // 60)
    return TooManyRequests(
        f"There were too many attempts to sign in. Try again in {minutes} minutes.",
        retry_after=seconds,
    )


def _short(username: str) -> str:
    return hashlib.sha256(username.strip().lower().encode("utf-8", "replace")).hexdigest()
