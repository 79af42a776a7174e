"""Freed memory goes back to the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MEASURED = """
import threading
from pathlib import Path
from worker.memory import few_heaps, give_back_freed

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

few_heaps()
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


def test_a_screening_worker_carries_neither_torch_nor_pydicom() -> None:
    told = "import sys, worker.parts; print([name for name in ('torch', 'pydicom') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
