"""Admission by STOW-RS: images a second with 1 and 8 clients, against Orthanc on this machine in this run.

    .venv/bin/python -m bench.stow [--images 400]

Uncompressed DX images of 1 MB, each a study of its own, one to a request. An answer of FirstRead means
fsynced bytes and a committed row; Orthanc (Debian: orthanc orthanc-dicomweb) runs with its defaults, in which
it syncs its storage too. The screening worker is paused for the first figures, because Orthanc reads no
image; then it works.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from bench.pictures import dicom_template, fresh_dicoms
from bench.service import Sender, running_service, stow_body

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def rate(url: str, path: str, bodies: list[tuple[bytes, str]], *, clients: int, key: str | None) -> float:
    """Images stored per second by so many clients, each with one connection."""
    headers = {"Accept": "application/dicom+json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    problems: list[str] = []

    def send(part: list[tuple[bytes, str]]) -> None:
        sender = Sender(url, headers=headers)
        for body, content_type in part:
            _, status, answer = sender.post(path, body, content_type)
            if status != 200:
                problems.append(f"{status} {answer[:200]!r}")

    threads = [threading.Thread(target=send, args=(bodies[number::clients],)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(f"{len(problems)} images were not stored: {problems[0]}")
    return len(bodies) / (time.monotonic() - started)


@contextmanager
def running_orthanc() -> Iterator[str]:
    """An Orthanc with DICOMweb and nothing in it."""
    with tempfile.TemporaryDirectory(prefix="orthanc-bench-") as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        configuration = {
            "Name": "bench",
            "StorageDirectory": f"{folder}/storage",
            "IndexDirectory": f"{folder}/storage",
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "DicomServerEnabled": False,
            "Plugins": [str(_PLUGIN)],
        }
        path = Path(folder) / "orthanc.json"
        path.write_text(json.dumps(configuration))
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        with (Path(folder) / "log").open("wb") as log:
            orthanc = subprocess.Popen([program, str(path)], stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"{url}/system", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            orthanc.terminate()
            orthanc.wait(30)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=400)
    count = parser.parse_args().images
    fresh = fresh_dicoms(*dicom_template())

    def bodies() -> list[tuple[bytes, str]]:
        return [stow_body(data) for data in islice(fresh, count)]

    orthanc: dict[int, float] = {}
    if _PLUGIN.exists():
        with running_orthanc() as url:
            rate(url, "/dicom-web/studies", bodies()[:20], clients=4, key=None)
            for clients in (1, 8):
                orthanc[clients] = rate(url, "/dicom-web/studies", bodies(), clients=clients, key=None)
                print(f"Orthanc, {clients} clients{'':<33} {orthanc[clients]:7.1f} images/s", flush=True)
    else:
        print("Orthanc is not installed (apt-get install orthanc orthanc-dicomweb): no baseline.")
    with running_service() as service:
        service.signal("screening worker", signal.SIGSTOP)
        rate(service.url, "/dicomweb/studies", bodies()[:20], clients=4, key=service.key)
        for worker in ("paused", "at work"):
            if worker == "at work":
                service.signal("screening worker", signal.SIGCONT)
            for clients in (1, 8):
                found = rate(service.url, "/dicomweb/studies", bodies(), clients=clients, key=service.key)
                ratio = f"   {found / orthanc[clients]:5.2f} x Orthanc" if orthanc else ""
                name = f"FirstRead, {clients} clients, screening worker {worker}"
                print(f"{name:<50} {found:7.1f} images/s{ratio}", flush=True)
        service.signal("screening worker", signal.SIGCONT)


if __name__ == "__main__":
    main()
