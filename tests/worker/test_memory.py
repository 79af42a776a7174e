"""Freed memory goes back to the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MEASURED = """
import threading
from pathlib import Path
from worker.memory import one_heap, give_back_freed

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

one_heap()
kept, ready = [], threading.Barrier(9)

def allocate():
    pieces = [bytearray(50_000) for _ in range(60)]
    kept.append(bytearray(50_000))  # lies above them, so that the heap cannot shrink by itself
    ready.wait()
    del pieces
    ready.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
ready.wait()
ready.wait()
for thread in threads:
    thread.join()
before = resident()
give_back_freed()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heaps: needs Linux.")
def test_freed_pieces_among_kept_ones_are_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED], check=True, capture_output=True, text=True, timeout=60
    )
    assert float(done.stdout) > 10, f"{done.stdout} MB given back of 24"


_CARRIED = """
import sys
import app.cli.worker, worker.main
from worker import parts
from worker.memory import without_converter
if sys.argv[1] == "screener":
    without_converter()
part = getattr(parts, sys.argv[1])()
print([name for name in sys.argv[2:] if name in sys.modules])
parts.close()
"""


_TRACING = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.trace",
    "requests",
    "google.protobuf",
)


@pytest.mark.parametrize(
    ("part", "foreign"),
    [
        (
            "screener",
            ("torch", "pydicom", "httpx", "prompt_toolkit", "rich", "openvino.tools.ovc.convert", *_TRACING),
        ),
        ("courier", ("torch", "pydicom", "openvino", "numpy", "prompt_toolkit", *_TRACING)),
        ("sweeper", ("torch", "pydicom", "openvino", "numpy", "prompt_toolkit", "rich", *_TRACING)),
    ],
)
def test_a_worker_carries_nothing_that_it_does_not_use(
    part: str, foreign: tuple[str, ...], tmp_path: Path
) -> None:
    elsewhere = {
        "FIRSTREAD_HOME": str(tmp_path),
        "FIRSTREAD_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
        "FIRSTREAD_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CARRIED, part, *foreign],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | elsewhere,
    )
    assert done.stdout.strip() == "[]"
