"""`firstread worker` and `firstread duty`: the Celery workers, each one process with threads."""

from __future__ import annotations

from app import queue
from app.cli.logs import configure_logs
from app.settings import settings


def screening() -> None:
    """Screens until SIGTERM; the batch in work is finished first.

    One thread, in this very process: CUDA cannot start again after a fork, and the network is loaded once.
    """
    _run("screening", "--queues", queue.SCREENING_QUEUE, "--concurrency", "1", "--hostname", "screening@%h")


def duty() -> None:
    """Sweeps and delivers until SIGTERM, and rings for the sweeps itself (beat). One per site is enough, two
    do no harm: every task may run twice.
    """
    _run("duty", "--queues", queue.DUTY_QUEUE, "--concurrency", "4", "--beat", "--hostname", "duty@%h")


def _run(_name: str, *options: str) -> None:
    configured = settings()
    configure_logs(configured)
    queue.configure(configured)
    import worker.main  # noqa: F401  (registers the tasks)

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
