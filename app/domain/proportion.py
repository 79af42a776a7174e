"""A share that was counted, and how far the true one may be from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959963984540054
"""Standard deviations on either side of a normal distribution that hold 95% of it."""


@dataclass(frozen=True)
class Proportion:
    """`hits` of `trials`; a share and its interval only where there was a trial."""

    hits: int
    trials: int

    @property
    def share(self) -> float | None:
        """What was counted, 0 to 1."""
        return self.hits / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95% score interval (Wilson 1927): within 0 and 1, and true for few trials too."""
        if not self.trials:
            return None
        share, pull = self.hits / self.trials, _Z**2 / self.trials
        centre = (share + pull / 2) / (1 + pull)
        half = _Z / (1 + pull) * math.sqrt(share * (1 - share) / self.trials + pull / (4 * self.trials))
        return max(0.0, centre - half), min(1.0, centre + half)
