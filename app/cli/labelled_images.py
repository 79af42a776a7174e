"""One progress bar for what reads labelled images, and the reading itself from where workers have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from worker.learning.labelled_images import facts_of_dicom, image_reader, patient_of_dicom

__all__ = ["facts_of_dicom", "image_reader", "patient_of_dicom", "progress"]


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage of a long run, called with the stage, how much is done and how much there is; with
    what is done in a second, which of most stages are images.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _PerSecond(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=of)
            bar.update(tasks[stage], completed=done, total=of)

        yield report


class _PerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        """So many a second lately, and of what is over on the whole."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f}/s")
