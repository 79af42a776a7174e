"""From received files to files of a dataset: one transaction for all of a request, one outcome per file."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.blobs import Blobs
from app.commands import datasets
from app.commands.datasets import SentFile
from app.domain.dataset_path import clean_path
from app.domain.roles import Actor
from app.errors import Problem, Unavailable, Unreadable
from app.records.engine import transaction
from app.web.upload import Received, ReceivedPart


@dataclass(kw_only=True)
class FileSaid:
    """What became of one file; `problem` where it was refused."""

    name: str | None
    sha256: str | None = None
    changed: bool = False
    problem: Problem | None = None

    @property
    def outcome(self) -> str:
        """received, known or refused."""
        if self.problem is not None:
            return "refused"
        return "received" if self.changed else "known"


def receive_all(received: Received, *, dataset_id: UUID, blobs: Blobs, by: Actor) -> list[FileSaid]:
    """Every good file is kept and the dataset's; one bad file refuses only itself. Call it in a thread.

    Raises NotFound, Conflict and TooLarge as `datasets.receive` does, and Unavailable for a full disk; then
    none of the files is the dataset's.
    """
    try:
        received.finish()
        with transaction() as session:
            datasets.check_room(session, dataset_id=dataset_id, more=0)
        for part in received.files:
            if part.staged is not None and part.problem is None:
                part.staged.sync_meanwhile()
        said = [FileSaid(name=part.file_name) for part in received.files]
        good: list[tuple[FileSaid, SentFile]] = []
        for part, one in zip(received.files, said, strict=True):
            try:
                file = _kept(part, blobs)
            except Unavailable:
                raise
            except Problem as problem:
                one.problem = problem
                continue
            one.sha256 = file.sha256
            good.append((one, file))
        if good:
            with transaction() as session:
                changed = datasets.receive(
                    session, dataset_id=dataset_id, files=[file for _, file in good], by=by
                )
            for (one, _), is_new in zip(good, changed, strict=True):
                one.changed = is_new
        return said
    finally:
        received.discard()


def _kept(part: ReceivedPart, blobs: Blobs) -> SentFile:
    path = clean_path(part.file_name or "")
    if part.problem is not None:
        raise part.problem
    if part.staged is None or part.staged.size == 0:
        raise Unreadable("The file is empty. It was left out.")
    return SentFile(path=path, sha256=blobs.keep(part.staged), byte_size=part.staged.size)
