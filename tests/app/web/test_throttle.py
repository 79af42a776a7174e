"""Attempts to sign in: counted together by all web processes, and alone where the broker is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import queue
from app.errors import TooManyRequests
from app.web.throttle import PER_ADDRESS, PER_USER, SignInThrottle


def _attempts(*throttles: SignInThrottle, username: str = "ada", address: str = "10.0.0.1") -> int:
    """How many attempts in turn are let through before one is refused."""
    for number in range(1000):
        try:
            throttles[number % len(throttles)].check(username=username, address=address)
        except TooManyRequests:
            return number
    raise AssertionError("nothing was refused")


def test_two_processes_count_attempts_on_a_name_together(broker: str) -> None:
    one, other = SignInThrottle(queue.redis_url()), SignInThrottle(queue.redis_url())
    assert _attempts(one, other) == PER_USER.amount
    other.right(username="Ada ")
    one.check(username="ada", address="10.0.0.1")


def test_two_processes_count_wrong_answers_to_an_address_together(broker: str) -> None:
    one, other = SignInThrottle(queue.redis_url()), SignInThrottle(queue.redis_url())
    for number in range(PER_ADDRESS.amount):
        (one, other)[number % 2].wrong(address="10.0.0.1")
    for throttle in (one, other):
        with pytest.raises(TooManyRequests) as refused:
            throttle.check(username="grace", address="10.0.0.1")
        assert refused.value.retry_after > 0
    one.check(username="grace", address="10.0.0.2")


def test_of_a_network_of_ipv6_all_addresses_are_one(broker: str) -> None:
    throttle = SignInThrottle(queue.redis_url())
    for number in range(PER_ADDRESS.amount):
        throttle.wrong(address=f"2001:db8:0:1::{number:x}")
    with pytest.raises(TooManyRequests):
        throttle.check(username="grace", address="2001:db8:0:1:ffff::1")
    throttle.check(username="grace", address="2001:db8:0:2::1")
    for number in range(PER_ADDRESS.amount):
        throttle.wrong(address="::ffff:10.0.0.1" if number % 2 else "10.0.0.1")
    with pytest.raises(TooManyRequests):
        throttle.check(username="grace", address="10.0.0.1")


def test_a_process_counts_alone_while_the_broker_is_silent(tmp_path: Path) -> None:
    assert _attempts(SignInThrottle(f"unix://{tmp_path}/nobody")) == PER_USER.amount


@pytest.mark.parametrize(
    ("kombu", "redis"),
    [
        ("redis+socket:///run/v.sock?virtual_host=3", "unix:///run/v.sock?db=3"),
        ("redis+socket:///run/v.sock", "unix:///run/v.sock?db=0"),
        ("redis://:secret@broker:6379/1", "redis://:secret@broker:6379/1"),
    ],
)
def test_the_brokers_address_is_understood(
    broker: str, monkeypatch: pytest.MonkeyPatch, kombu: str, redis: str
) -> None:
    monkeypatch.setattr(queue.queue.conf, "broker_url", kombu)
    assert queue.redis_url() == redis
