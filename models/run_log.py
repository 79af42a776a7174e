"""The log and the checkpoint of one training, which goes on only with the same order and data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from models.dataset import Labelled
from models.time_budget import clock_beside

Tell = Callable[..., None]
"""Called with `event` and what belongs to it, as in the log."""


class RunLog:
    """One JSON line an event, in a folder of one order: another order finds no checkpoint there."""

    def __init__(self, folder: Path, decides: Mapping[str, Any], tell: Tell) -> None:
        """``decides`` is what of the order decides the weights."""
        self._tell = tell
        self.checkpoint = folder / "checkpoint.pt"
        self._log = folder / "log.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        document = json.dumps(decides, default=str, sort_keys=True)
        mark = hashlib.sha256(document.encode()).hexdigest()
        marker = folder / "order.sha256"
        if not marker.exists() or marker.read_text() != mark:
            self._begin_anew()
            self._log.unlink(missing_ok=True)
            marker.write_text(mark)

    def goes_on_only_with(self, data: Labelled, part: NDArray[Any]) -> None:
        """A checkpoint of other images, labels or parts is gone: files change under their names."""
        whole = b"".join(array.tobytes() for array in (data.images, data.labels, part))
        mark = hashlib.sha256(whole).hexdigest()
        marker = self.checkpoint.with_name("data.sha256")
        if not marker.exists() or marker.read_text() != mark:
            self._begin_anew()
            marker.write_text(mark)

    def write(self, **event: Any) -> None:
        """Append one event."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, default=list) + "\n")
        self._tell(**event)

    def _begin_anew(self) -> None:
        self.checkpoint.unlink(missing_ok=True)
        clock_beside(self.checkpoint).unlink(missing_ok=True)
