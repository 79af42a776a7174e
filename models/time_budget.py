"""How long a training may take, counted over all attempts at it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LEARNING_SHARE = 0.75
"""Of the budget, up to the end of the last epoch; the rest is for calibrating and for testing the maps."""


def _now() -> float:
    return time.monotonic()


@dataclass
class TimeBudget:
    """Minutes from the beginning of a training; None is as long as it takes."""

    minutes: float | None = None
    before: float = 0.0
    """Minutes that earlier attempts have spent."""
    began_learning: float | None = None
    """Minutes that were spent when the first epoch began."""
    _began: float = field(default_factory=_now)

    @property
    def spent(self) -> float:
        """Minutes until now."""
        return self.before + (_now() - self._began) / 60

    @property
    def learnt(self) -> float:
        """Share of the time for epochs that is spent, 0 to 1; 0 without a budget."""
        if self.minutes is None:
            return 0.0
        if self.began_learning is None:
            self.began_learning = self.spent
        whole = self.minutes * LEARNING_SHARE - self.began_learning
        return 1.0 if whole <= 0 else min((self.spent - self.began_learning) / whole, 1.0)

    @property
    def is_spent(self) -> bool:
        """No further epoch is to begin, and the one at hand is to end."""
        return self.learnt >= 1.0

    def state(self) -> dict[str, float | None]:
        """For a checkpoint."""
        return {"before": self.spent, "began_learning": self.began_learning}

    def go_on(self, state: dict[str, float | None]) -> None:
        """As an earlier attempt left it: what that spent counts too. Of several states the last counts."""
        before = float(state["before"] or 0.0)
        if before > self.before:
            self.before, self.began_learning = before, state["began_learning"]

    def write(self, checkpoint: Path) -> None:
        """Beside the checkpoint, for whoever goes on after a kill in the middle of an epoch."""
        path = clock_beside(checkpoint)
        unfinished = path.with_suffix(".unfinished-clock")
        unfinished.write_text(json.dumps(self.state()))
        unfinished.replace(path)

    def read(self, checkpoint: Path) -> None:
        """Go on as was written beside the checkpoint, if anything was and the disk kept it."""
        with suppress(FileNotFoundError, ValueError):
            self.go_on(json.loads(clock_beside(checkpoint).read_text()))


def clock_beside(checkpoint: Path) -> Path:
    """Where a training keeps what it has spent, which is there before its first checkpoint is."""
    return checkpoint.with_suffix(".clock")
