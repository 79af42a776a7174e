"""`firstread worker` and `firstread duty`: the Celery workers, each one process with threads."""

from __future__ import annotations

import os
import warnings

from celery.platforms import SecurityWarning

from app import queue
from app.cli.logs import configure_logs
from app.settings import settings
from worker.memory import few_heaps


def screening() -> None:
    """Screens until SIGTERM; the batch in work is finished first.

    One thread, in this very process: CUDA cannot start again after a fork, and the network is loaded once.
    """
    _run("--queues", queue.SCREENING_QUEUE, "--concurrency", "1", "--hostname", f"screening-{os.getpid()}@%h")


def duty() -> None:
    """Sweeps and delivers until SIGTERM, and rings for the sweeps itself (`worker.main`).

    One per site is enough, two do no harm: every task may run twice.
    """
    _run("--queues", queue.DUTY_QUEUE, "--concurrency", "4", "--hostname", f"duty-{os.getpid()}@%h")


def _run(*options: str) -> None:
    few_heaps()
    configured = settings()
    configure_logs(configured)
    queue.configure(configured)
    import worker.main  # noqa: F401  (registers the tasks)

    # root in a container or on a trial machine is expected; no message is ever unpickled here
    warnings.filterwarnings("ignore", category=SecurityWarning)

    queue.queue.worker_main(
        [
            "--quiet",
            "worker",
            "--pool",
            "threads",
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "INFO",
            *options,
        ]
    )
