"""`make faults`: the full run, and its table.

.venv/bin/python -m tests.faults [--images 2000] [--seconds 300] [--seed N]
"""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.faults.run import run


def main() -> int:
    """0 where every promise was kept."""
    parser = argparse.ArgumentParser(description="Posts images while everything breaks; nothing may be lost.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6) + 1)
    chosen = parser.parse_args()
    _say(f"seed {chosen.seed}")
    found = run(
        images=chosen.images,
        seconds=chosen.seconds,
        senders=chosen.senders,
        readers=chosen.readers,
        seed=chosen.seed,
    )
    _say(found.table())
    for sentence in found.verdict.broken:
        _say(f"NOT KEPT: {sentence}")
    return 1 if found.verdict.broken else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
