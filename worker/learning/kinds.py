"""The kinds of job. Each is two modules: `order`, `record` and `give_up` of a command, beside the database,
and `run` in the child, which knows no database.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

from app.blobs import Blobs

KINDS: dict[str, tuple[str, str]] = {
    "inspect": ("app.commands.inspection", "worker.learning.inspect_child"),
    "train": ("app.commands.training", "worker.learning.train"),
    "evaluate": ("app.commands.evaluation", "worker.learning.evaluate"),
    "deidentify": ("app.commands.deidentified", "worker.learning.deidentify"),
    "export": ("app.commands.exporting", "worker.learning.export"),
    "shadow": ("app.commands.shadow", "worker.learning.shadow"),
}
"""Of each kind the module of commands and the module in the child."""


class Beside(Protocol):
    """What a kind does beside the database."""

    def order(self, session: Any, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:
        """What the child is told, as JSON. ``folder`` is the job's own and still there at a further attempt.

        Raises `app.errors.Problem` with a sentence where it cannot be done: the job is refused.
        """

    def record(self, session: Any, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
        """The answer is on record, in the transaction that ends the job. Files that the answer names are
        still in the folder.
        """

    def give_up(self, session: Any, *, subject_id: UUID, state: str, said: str) -> None:
        """The subject says that nothing came of it: refused, failed or cancelled, with the sentence why."""


def beside(kind: str) -> Beside:
    """The module; loaded when it is first needed."""
    return cast(Beside, importlib.import_module(KINDS[kind][0]))
