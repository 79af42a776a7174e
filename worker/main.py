"""The Celery program.

    celery -A worker.main worker -Q screening -P threads -c 1     screens; one thread holds the network
    celery -A worker.main worker -Q duty -P threads -c 7          sweeps, delivers and seals
    celery -A worker.main worker -Q training -P threads -c 1      inspects datasets, trains, evaluates

`firstread worker`, `firstread duty` and `firstread trainer` start the same. SIGTERM ends a process within
seconds: the batch at hand is finished or given back.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import structlog
from celery import beat, signals

from app import tracing
from app.queue import (
    DUTY_QUEUE,
    LEARN,
    SCREEN,
    SCREENING_QUEUE,
    TRAINING_QUEUE,
    configure_from_settings,
    queue,
    report,
    ring,
)
from app.settings import settings
from worker import parts, tasks

__all__ = ["queue", "tasks"]

configure_from_settings()

_REPORT_SECONDS = 5.0

_log = structlog.get_logger(__name__)

for _noisy in ("celery.worker.strategy", "celery.app.trace"):  # two lines a bell tell nobody anything
    logging.getLogger(_noisy).setLevel(logging.WARNING)


def _ready(sender: Any, **_: object) -> None:
    """A screening worker looks for work itself and loads the network at once; a duty worker beats.

    Beat runs as a thread, not with -B: as a process it would outlive a killed worker and ring for ever.
    """
    heard = queue.amqp.queues.consume_from
    part = next((name for name in (SCREENING_QUEUE, DUTY_QUEUE, TRAINING_QUEUE) if name in heard), "")
    if part != TRAINING_QUEUE:  # nothing of its work is an image's
        tracing.start(settings(), part=part)
    threading.Thread(target=_report, args=(str(sender.hostname), part), daemon=True).start()
    if SCREENING_QUEUE in heard:
        ring(SCREEN, "start")
    if TRAINING_QUEUE in heard:
        ring(LEARN, "start")
    if DUTY_QUEUE in heard:
        beat.EmbeddedService(queue, thread=True, scheduler_cls=queue.conf.beat_scheduler).start()


def _shutting_down(**_: object) -> None:
    parts.stop.set()


def _shutdown(**_: object) -> None:
    parts.stop.set()
    parts.close()
    tracing.stop()


def _report(name: str, part: str) -> None:
    """Says every few seconds that this worker is there; one that screens says with which network."""
    while not parts.stop.is_set():
        facts = parts.network().describe() if part == SCREENING_QUEUE else {}
        report(name, {"part": part} | facts, seconds=3 * _REPORT_SECONDS)
        parts.stop.wait(_REPORT_SECONDS)


signals.worker_ready.connect(_ready)
signals.worker_shutting_down.connect(_shutting_down)
signals.worker_shutdown.connect(_shutdown)
