"""What a fuzzer counts: cases by kind, outcomes, the slowest, and whatever must not be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LONGEST_SECONDS = 10.0
"""A case that takes more of the processor hangs, however busy the machine is."""
LONGEST_WAIT = 30.0
"""A case, or a lot of images that is screened, that takes more by the clock hangs in a lock or a wait: three
times as long, for the clock tells of whatever else the machine does.
"""


@dataclass
class Findings:
    """One fuzzer's run; `faults` says of each fault what it was and how to see it again."""

    name: str
    seed: int
    folder: Path
    """Where the bytes that caused a fault are kept."""
    cases: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_was: str = ""
    longest: float = 0.0
    longest_was: str = ""
    grown_bytes: int = 0
    began: float = field(default_factory=time.monotonic)
    _bytes_at_first: int = field(default_factory=lambda: psutil.Process().memory_info().rss)

    @contextmanager
    def case(self, kind: str, label: str, *, counts: bool = True) -> Iterator[None]:
        """One case, timed; what it raises is a fault. What is done with several cases at once counts not."""
        (self.cases if counts else self.outcomes)[kind] += 1
        began, began_at = time.process_time(), time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001, whatever it is, nothing should have been raised
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            at = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
            self.fault(label, f"raised {type(error).__name__}: {error}"[:300] + at)
        took, waited = time.process_time() - began, time.monotonic() - began_at
        if took > self.slowest:
            self.slowest, self.slowest_was = took, f"{kind}, {label}"
        if took > LONGEST_SECONDS:
            self.fault(label, f"took {took:.1f} s of the processor")
        if waited > self.longest:
            self.longest, self.longest_was = waited, f"{kind}, {label}"
        if waited > LONGEST_WAIT:
            self.fault(label, f"took {waited:.1f} s by the clock, {took:.1f} s of the processor")
        grown = psutil.Process().memory_info().rss - self._bytes_at_first
        self.grown_bytes = max(self.grown_bytes, grown)

    def fault(self, label: str, what: str, data: bytes | None = None) -> None:
        """Something that must not be."""
        kept = ""
        if data is not None:
            path = self.folder / f"{self.name.replace(' ', '-')}-{len(self.faults)}.bin"
            path.write_bytes(data)
            kept = f" ({path})"
        self.faults.append(f"seed {self.seed}, {label}: {what}{kept}")

    def table(self) -> str:
        """A line for each kind and each outcome."""
        lines = {f"{self.name}: cases": str(sum(self.cases.values()))}
        lines |= {f"  {kind}": str(count) for kind, count in sorted(self.cases.items())}
        lines |= {f"  -> {what}": str(count) for what, count in sorted(self.outcomes.items())}
        lines |= {
            "  faults": str(len(self.faults)),
            "  slowest": f"{self.slowest:.1f} s of the processor ({self.slowest_was[:60]})",
            "  longest": f"{self.longest:.1f} s by the clock ({self.longest_was[:60]})",
            "  this process grew by at most": f"{self.grown_bytes / 1e6:.0f} MB",
            "  seconds": f"{time.monotonic() - self.began:.0f}",
        }
        width = max(map(len, lines))
        return "\n".join(f"{what:<{width}}  {value}" for what, value in lines.items())
