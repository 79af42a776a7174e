"""Runs the benches one after the other: `python -m bench [NAME ...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = (
    "decoding",
    "inference",
    "predict",
    "reading_latency",
    "stow",
    "throughput",
    "memory",
    "similar",
    "worklist",
    "reading_room",
)


def main() -> int:
    """The exit code: that of the first bench that failed."""
    asked = sys.argv[1:] or [name for name in NAMES if (Path(__file__).parent / f"{name}.py").exists()]
    if unknown := [name for name in asked if name not in NAMES]:
        print(f"There is no bench {', '.join(unknown)}; choose from {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    for name in asked:
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
