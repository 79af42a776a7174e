"""How often a password may be tried: per user name, whoever asks, and per address, whatever name it tries.

The counts live in this process. With several web processes each allows as many, which still leaves guessing
hopeless.
"""

from __future__ import annotations

import hashlib
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyRequests

PER_USER = RateLimitItemPerMinute(10, 15, namespace="user")
"""Attempts on one name in 15 minutes; a right password forgets them."""
PER_ADDRESS = RateLimitItemPerMinute(50, 15, namespace="address")
"""Wrong answers to one address in 15 minutes; a hospital may come from one address."""


class SignInThrottle:
    """Counts attempts to sign in; safe to use from several threads."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, *, username: str, address: str | None) -> None:
        """Counts an attempt; raises TooManyRequests where there were too many."""
        name = _short(username)
        if not self._limiter.test(PER_ADDRESS, address or "unknown"):
            raise self._too_many(PER_ADDRESS, address or "unknown")
        if not self._limiter.hit(PER_USER, name):
            raise self._too_many(PER_USER, name)

    def wrong(self, *, address: str | None) -> None:
        """The attempt that was checked had a wrong password."""
        self._limiter.hit(PER_ADDRESS, address or "unknown")

    def right(self, *, username: str) -> None:
        """The attempt that was checked had the right password."""
        self._limiter.clear(PER_USER, _short(username))

    def _too_many(self, limit: RateLimitItemPerMinute, key: str) -> TooManyRequests:
        free_at = self._limiter.get_window_stats(limit, key).reset_time
        seconds = max(1, int(free_at - time.time()) + 1)
        return TooManyRequests(
            f"There were too many attempts to sign in. Try again in {-(-seconds // 60)} minutes.",
            retry_after=seconds,
        )


def _short(username: str) -> str:
    return hashlib.sha256(username.strip().lower().encode("utf-8", "replace")).hexdigest()
