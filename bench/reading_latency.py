"""From the last byte posted to the reading committed: one worker, idle and with 200 studies queued.

    .venv/bin/python -m bench.reading_latency [--images 40] [--queued 200]

Full-size JPEGs by POST /api/v1/studies. The baseline is the least it can take: the same files decoded by the
same decoder and read by the same network, one at a time, without upload, database or queue.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np

from app.dicom.decoder_pool import DecoderPool
from bench.pictures import fresh_jpegs, originals
from bench.service import Sender, Service, post_study, running_service
from models.bundle import Bundle, default_bundle_path


def baseline(paths: list[Path]) -> list[float]:
    """Seconds to decode and read each file, alone."""
    bundle = Bundle.load(default_bundle_path(), device="cpu")
    seconds = []
    with DecoderPool(processes=1, seconds=60, memory_bytes=2**31) as pool:
        for path in [paths[0], *paths]:
            started = time.monotonic()
            bundle.screen([pool.presentation(path, "image/jpeg").result().grey])
            seconds.append(time.monotonic() - started)
    return seconds[1:]


def idle(service: Service, images: list[bytes]) -> list[float]:
    """Each image once the one before is read."""
    sender = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
    seconds = []
    for image in images:
        sent, study = post_study(sender, image)
        service.await_screened([study])
        seconds.append(service.screened[study] - sent)
    return seconds


def queue(service: Service, images: list[bytes]) -> dict[str, float]:
    """Every image is a queued study, and the worker has not begun with any; when each was posted."""
    service.signal("screening worker", signal.SIGSTOP)
    posted: dict[str, float] = {}

    def post_all(part: list[bytes]) -> None:
        sender = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
        for image in part:
            sent, study = post_study(sender, image)
            posted[study] = sent

    threads = [threading.Thread(target=post_all, args=(images[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return posted


def drained(service: Service, images: list[bytes]) -> float:
    """Readings that the worker commits in a second while it has such a queue and nothing else comes."""
    posted = queue(service, images)
    service.signal("screening worker", signal.SIGCONT)
    resumed = time.monotonic()
    service.await_screened([*posted])
    return len(posted) / (max(service.screened[study] for study in posted) - resumed)


def under_load(
    service: Service, queued: list[bytes], probes: list[bytes]
) -> tuple[list[float], list[float], float]:
    """With the queue full: STAT studies' seconds, the queued studies' own, and studies read per second."""
    posted = queue(service, queued)
    sender = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
    service.signal("screening worker", signal.SIGCONT)
    resumed = time.monotonic()
    stat: dict[str, float] = {}
    for image in probes:
        sent, study = post_study(sender, image, priority="stat")
        stat[study] = sent
        time.sleep(0.2)
    service.await_screened([*posted, *stat])
    last = max(service.screened[study] for study in posted)
    return (
        [service.screened[study] - sent for study, sent in stat.items()],
        [service.screened[study] - resumed for study in posted],
        (len(posted) + len(stat)) / (last - resumed),
    )


def say(name: str, seconds: list[float], base: list[float] | None = None) -> None:
    """p50 and p95 in milliseconds, and the ratio of the medians to the baseline."""
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    ratio = "" if base is None else f"   {np.median(seconds) / np.median(base):6.2f} x baseline"
    print(f"{name:<42} p50 {p50:8.1f} ms   p95 {p95:8.1f} ms{ratio}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--queued", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = originals(Path(folder))
        fresh = fresh_jpegs(paths)
        base = baseline(paths[: arguments.images])
        say("baseline: decode and read, no service", base)
        with running_service() as service:
            idle(service, list(islice(fresh, 3)))
            say("idle", idle(service, list(islice(fresh, arguments.images))), base)
            stat, routine, rate = under_load(
                service, list(islice(fresh, arguments.queued)), list(islice(fresh, 10))
            )
            say(f"STAT, {arguments.queued} queued", stat, base)
            say(f"the {arguments.queued} queued, from the worker's start", routine, base)
            print(f"{'readings committed while draining':<42} {rate:8.1f} /s")


if __name__ == "__main__":
    main()
