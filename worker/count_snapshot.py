"""What a snapshot would hold, for administrators who ask before they take one: counted beside the pages, for
that takes the longer the more is signed.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any
from uuid import UUID

from app.blobs import Blobs
from app.commands import snapshots
from app.looks import Question
from app.queue import COUNT_SNAPSHOT
from app.records.engine import transaction
from worker.answering import Answering


class SnapshotCounter(Answering):
    """Counts, one snapshot at a time."""

    task = COUNT_SNAPSHOT

    def __init__(self, *, blobs: Blobs) -> None:
        super().__init__()
        self._blobs = blobs

    def said(self, question: Question, stop: threading.Event) -> dict[str, Any]:  # noqa: ARG002
        """The counts, as `app.commands.snapshot_contents.Held` has them."""
        wanted = question.snapshot_of or {}
        with transaction() as session:
            held = snapshots.preview(
                session,
                blobs=self._blobs,
                datasets=[UUID(one) for one in wanted["datasets"]],
                reviews=wanted["reviews"],
            )
        return asdict(held)
