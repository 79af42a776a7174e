"""`firstread worker`, `duty` and `trainer`: the Celery workers, each one process with threads."""

from __future__ import annotations

import os
import sys
import warnings

from celery.platforms import SecurityWarning
from celery.utils.nodenames import host_format

from app import queue
from app.cli.logs import configure_logs
from app.commands.backup_refusal import refuse_half_restored
from app.settings import settings
from worker.memory import one_heap, without_converter


def screening() -> None:
    """Screens until SIGTERM; the batch in work is finished first.

    One thread, in this very process: CUDA cannot start again after a fork, and the network is loaded once.
    """
    without_converter()
    _run("screening", listens_to=queue.SCREENING_QUEUE, threads=1)


def duty() -> None:
    """Sweeps and delivers until SIGTERM, and rings for the sweeps itself (`worker.main`).

    One per site is enough, two do no harm: every task may run twice. Deliveries take four of its threads at
    most (`worker.deliver`), so that sweeping and sealing never wait for a destination.
    """
    _run("duty", listens_to=queue.DUTY_QUEUE, threads=7)


def training() -> None:
    """Inspects datasets, trains and evaluates until SIGTERM, each in a child of the lowest priority.

    What is at work is given back and goes on with the next trainer.
    """
    _run("training", listens_to=queue.TRAINING_QUEUE, threads=1)


def _run(name: str, *, listens_to: str, threads: int) -> None:
    one_heap()
    configured = settings()
    refuse_half_restored(configured.blob_folder)
    configure_logs(configured)
    queue.configure(configured)
    import worker.main  # noqa: F401  (registers the tasks)

    # root in a container or on a trial machine is expected; no message is ever unpickled here
    warnings.filterwarnings("ignore", category=SecurityWarning)

    # Not by `worker_main`: the command line of Celery brings a shell with it, ten megabytes for nothing.
    working = queue.queue.Worker(
        hostname=host_format(f"{name}-{os.getpid()}@%h"),
        queues=listens_to,
        pool="threads",
        concurrency=threads,
        without_gossip=True,
        without_mingle=True,
        loglevel="INFO",
        quiet=True,
    )
    working.start()
    sys.exit(working.exitcode)
