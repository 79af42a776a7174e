"""The one Celery object, the names of the tasks, and the bell.

PostgreSQL is the truth; a message only rings. A lost message costs a sweep's interval, an extra one costs a
query that finds nothing. So ringing never fails a request, and every task may run twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from app.errors import Unavailable
from app.settings import Settings, settings

SCREEN = "firstread.screen"
DELIVER = "firstread.deliver"
SWEEP = "firstread.sweep"
LOOK_INSIDE = "firstread.look-inside"
COUNT_SNAPSHOT = "firstread.count-snapshot"
LEARN = "firstread.learn"
SEAL = "firstread.seal"

SCREENING_QUEUE = "screening"
DUTY_QUEUE = "duty"
TRAINING_QUEUE = "training"

_REPORT = "firstread:worker:"
_UNHEARD_BELLS = 4
"""As many bells wait at most: enough to wake several idle workers at once."""
_SILENT_SECONDS = 3.0


class _Silence:
    """Until when the broker is taken for silent: every upload would wait for it in vain."""

    until = 0.0


_silence = _Silence()
_bellpull = threading.Lock()
_also: dict[str, set[str]] = {}
_also_lock = threading.Lock()
_log = structlog.get_logger(__name__)

queue = Celery("firstread", set_as_current=True)


def configure(configuration: Settings) -> None:
    """Points the queue at the site's broker; called once by every process that rings or listens."""
    url = configuration.resolved_broker_url
    queue.conf.update(
        broker_url=url,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_transport_options={
            "visibility_timeout": 300,
            # Without these two, messages of a killed worker came back only after 100 s.
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "max_retries": 1,
        },
        task_routes={
            SCREEN: {"queue": SCREENING_QUEUE},
            DELIVER: {"queue": DUTY_QUEUE},
            SWEEP: {"queue": DUTY_QUEUE},
            LOOK_INSIDE: {"queue": DUTY_QUEUE},
            COUNT_SNAPSHOT: {"queue": DUTY_QUEUE},
            LEARN: {"queue": TRAINING_QUEUE},
            SEAL: {"queue": DUTY_QUEUE},
        },
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": configuration.sweep_interval,
                "options": {"queue": DUTY_QUEUE, "expires": configuration.sweep_interval * 2},
            },
            "seal": {
                "task": SEAL,
                "schedule": configuration.audit_seal_interval,
                "options": {"queue": DUTY_QUEUE, "expires": configuration.audit_seal_interval * 2},
            },
        },
        beat_scheduler="celery.beat:Scheduler",
        timezone="UTC",
    )


def ring(task: str, *ids: str) -> None:
    """Rings for each id once its row is committed; a silent broker is logged and left to the sweeper.

    A worker that hears a bell goes on until nothing is due. So where a bell still waits to be heard, every
    worker is at work and will hear it later than now: another one would only cost a query that finds nothing.
    """
    if not ids or time.monotonic() < _silence.until:
        return
    with _also_lock:
        _also.setdefault(task, set()).update(ids)
    # Whoever rings at this moment has looked already; the next one rings for all who came meanwhile.
    with _bellpull:
        with _also_lock:
            together = _also.pop(task, set())
        if together and time.monotonic() >= _silence.until:
            _ring(task, together)


def is_silent() -> bool:
    """True for a while after the broker did not answer: what can do without it does not wait for it again."""
    return time.monotonic() < _silence.until


def _ring(task: str, ids: Iterable[str]) -> None:
    try:
        with queue.connection_or_acquire(None) as connection:
            unheard = int(connection.default_channel.client.llen(queue.conf.task_routes[task]["queue"]))
        for id_ in list(ids)[: max(0, _UNHEARD_BELLS - unheard)]:
            queue.send_task(task, args=[id_], retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        _silence.until = time.monotonic() + _SILENT_SECONDS
        _log.warning("broker_silent", task=task, error=type(error).__name__)


def waiting(queue_name: str) -> int:
    """How many messages wait to be heard; 0 where the broker is silent."""
    try:
        with queue.connection_for_write() as connection:
            return int(connection.default_channel.queue_declare(queue=queue_name, passive=True).message_count)
    except ChannelError:  # a queue that was never rung
        return 0
    except (OperationalError, RedisError, OSError):
        return 0


def report(worker: str, facts: Mapping[str, str], *, seconds: float) -> None:
    """`workers` shows these facts for so many seconds; a silent broker shows none."""
    try:
        with queue.connection_for_write() as connection:
            connection.default_channel.client.set(
                _REPORT + worker, json.dumps(dict(facts)), px=int(seconds * 1000)
            )
    except (OperationalError, RedisError, OSError) as error:
        _log.warning("broker_silent", report=worker, error=type(error).__name__)


def workers() -> dict[str, dict[str, str]]:
    """What the workers that live say of themselves, by name; empty where the broker is silent."""
    try:
        with queue.connection_for_write() as connection:
            client = connection.default_channel.client
            names = [bytes(key).decode() for key in client.scan_iter(match=_REPORT + "*")]
            facts = client.mget(names) if names else []
    except (OperationalError, RedisError, OSError):
        return {}
    return {
        name.removeprefix(_REPORT): dict(json.loads(said))
        for name, said in zip(names, facts, strict=True)
        if said is not None
    }


def somebody_reads() -> bool:
    """True where a worker that lives says that it has a network; False where the broker is silent."""
    return any("bundle" in facts for facts in workers().values())


@contextmanager
def minutes() -> Iterator[Any]:
    """The broker's client, for what is kept for minutes and may be lost. Raises Unavailable if it is away."""
    try:
        with queue.connection_for_write() as connection:
            yield connection.default_channel.client
    except (OperationalError, RedisError, OSError) as error:
        raise Unavailable(
            "The broker does not answer at the moment; nothing was asked. Try again."
        ) from error


def call(task: str, id_: str, *, seconds: float) -> None:
    """A worker runs the task once, if one comes to it within so many seconds. Raises Unavailable."""
    try:
        queue.send_task(task, args=[id_], retry=False, ignore_result=True, expires=seconds)
    except (OperationalError, RedisError, OSError) as error:
        raise Unavailable(
            "The broker does not answer at the moment; nothing was asked. Try again."
        ) from error


def redis_url() -> str:
    """The broker's address as Redis clients write it: kombu has a scheme of its own for unix sockets."""
    url = str(queue.conf.broker_url)
    if not url.startswith("redis+socket://"):
        return url
    path, _, options = url.removeprefix("redis+socket://").partition("?")
    return f"unix://{path}?db={options.removeprefix('virtual_host=') or 0}"


def ready() -> bool:
    """True when the broker answers."""
    try:
        with queue.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
        return True
    except (OperationalError, RedisError, OSError):
        return False


def configure_from_settings() -> None:
    """Configures from the process's settings."""
    configure(settings())
