"""One progress bar for what reads labelled images, and the reading itself from where workers have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from worker.learning.labelled_images import image_reader, patient_of_dicom

__all__ = ["image_reader", "patient_of_dicom", "progress"]


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage of a long run, called with the stage, how much is done and how much there is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=of)
            bar.update(tasks[stage], completed=done, total=of)

        yield report
