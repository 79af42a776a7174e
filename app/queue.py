"""The one Celery object, the names of the tasks, and the bell.

PostgreSQL is the truth; a message only rings. A lost message costs a sweep's interval, an extra one costs a
query that finds nothing. So ringing never fails a request, and every task may run twice.
"""

from __future__ import annotations

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.settings import Settings, settings

SCREEN = "firstread.screen"
DELIVER = "firstread.deliver"
SWEEP = "firstread.sweep"

SCREENING_QUEUE = "screening"
DUTY_QUEUE = "duty"

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
        },
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": configuration.sweep_interval,
                "options": {"queue": DUTY_QUEUE, "expires": configuration.sweep_interval * 2},
            },
        },
        beat_scheduler="celery.beat:Scheduler",
        timezone="UTC",
    )


def ring(task: str, *ids: str) -> None:
    """Rings for each id once its row is committed; a silent broker is logged and left to the sweeper."""
    try:
        for id_ in ids:
            queue.send_task(task, args=[id_], retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        _log.warning("broker_silent", task=task, error=type(error).__name__)


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
