"""Memory of each process of a running service, idle and after work, against torch with the same network.

    .venv/bin/python -m bench.memory [--images 60]

PSS (proportional set size) divides what processes share among them, so the sum is what the service takes
from the machine; RSS is what `ps` shows. The baseline is a Python process that has read one image through
torch, eagerly.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path

from bench.pictures import fresh_jpegs, originals
from bench.service import Sender, Service, post_study, running_service

_REST_SECONDS = 2.0
"""After a queue has been read a worker gives back what the pictures took."""
_BASELINE = """
import sys, numpy as np, torch
from bench.plain import plain_input, plain_network
answer = plain_network()(plain_input(np.zeros((1000, 1000), np.uint8)))
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.read()
"""


def megabytes(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process in MB."""
    told = _rollup(pid)
    return told["Rss"], told["Pss"]


def megabytes_of_its_own(pid: int) -> float:
    """PSS of a process in MB but for segments that processes share, whose size is set: PostgreSQL's buffers
    fill once, with whatever was asked for first.
    """
    told = _rollup(pid)
    return told["Pss"] - told["Pss_Shmem"]


def _rollup(pid: int) -> dict[str, float]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(size) / 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}


def baseline() -> float:
    """RSS of torch with the network, after one image."""
    plain = subprocess.Popen(
        [sys.executable, "-c", _BASELINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert plain.stdout is not None
    plain.stdout.readline()
    found = megabytes(plain.pid)[0]
    plain.kill()
    plain.wait()
    return found


def table(service: Service, title: str) -> dict[str, float]:
    """Prints and returns PSS by role."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pid, role in service.processes().items():
        try:
            found[role].append(megabytes(pid))
        except OSError:  # a connection of PostgreSQL's that ended meanwhile
            continue
    print(f"{title:<28} processes   RSS of the largest   PSS in all")
    for role, sizes in sorted(found.items()):
        largest, share = max(rss for rss, _ in sizes), sum(pss for _, pss in sizes)
        print(f"  {role:<26} {len(sizes):9d}   {largest:15.1f} MB   {share:7.1f} MB")
    sums = {role: sum(pss for _, pss in sizes) for role, sizes in found.items()}
    print(f"  {'all':<26} {sum(map(len, found.values())):9d}   {'':15}      {sum(sums.values()):7.1f} MB")
    return sums


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=60)
    count = parser.parse_args().images
    base = baseline()
    with tempfile.TemporaryDirectory() as folder, running_service() as service:
        fresh = fresh_jpegs(originals(Path(folder)))
        table(service, "after the start")
        sender = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
        service.await_screened([post_study(sender, data)[1] for data in islice(fresh, count)])
        table(service, f"at the last of {count} studies")
        time.sleep(_REST_SECONDS)
        sums = table(service, f"{_REST_SECONDS:g} s after {count} studies")
        worker = sums["screening worker"]
        print(f"torch with the same network, one image: {base:.1f} MB")
        print(f"screening worker against it: {worker / base:.2f} x")


if __name__ == "__main__":
    main()
