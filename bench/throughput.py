"""Images posted by 16 clients to readings committed, per second, against BentoML around the same network.

    .venv/bin/python -m bench.throughput [--images 400] [--clients 16]

Full-size JPEGs. FirstRead: from the first request to the last reading committed, with bytes fsynced, previews
made and audit written on the way. BentoML (adaptive batching, torch, see `bench/bento_service.py`): from the
first request to the last answer; it stores nothing. The bench installs BentoML into an environment of its own
below the folder of temporary files and keeps it for the next run.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import site
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from bench.pictures import fresh_jpegs, originals
from bench.service import BOUNDARY, Sender, post_study, running_service

_REPOSITORY = Path(__file__).resolve().parent.parent
_ENVIRONMENT = Path(tempfile.gettempdir()) / "firstread-bench-bentoml"


def all_clients(
    clients: int, images: list[bytes], send: Callable[[Sender, bytes], None], url: str, key: str
) -> None:
    """Every image is sent, by so many clients with a connection each."""
    problems: list[Exception] = []

    def work(part: list[bytes]) -> None:
        sender = Sender(url, headers={"Authorization": f"Bearer {key}"} if key else {})
        try:
            for image in part:
                send(sender, image)
        except Exception as error:  # noqa: BLE001, told below
            problems.append(error)

    threads = [threading.Thread(target=work, args=(images[number::clients],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def firstread_rate(images: list[bytes], *, clients: int) -> tuple[float, float]:
    """Readings committed per second, and admissions per second, in the same run."""
    with running_service() as service:
        studies: list[str] = []
        first = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
        service.await_screened([post_study(first, image)[1] for image in images[:8]])
        images = images[8:]

        def send(sender: Sender, image: bytes) -> None:
            studies.append(post_study(sender, image)[1])

        started = time.monotonic()
        all_clients(clients, images, send, service.url, service.key)
        admitted = time.monotonic() - started
        service.await_screened(studies)
        ended = max(service.screened[study] for study in studies)
        return len(images) / (ended - started), len(images) / admitted


def bento_rate(images: list[bytes], *, clients: int) -> float:
    """Answers per second."""
    with running_bento() as url:
        failed: list[int] = []

        def send(sender: Sender, image: bytes) -> None:
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="i.jpeg"\r\n'
            body = (
                head.encode()
                + b"Content-Type: image/jpeg\r\n\r\n"
                + image
                + f"\r\n--{BOUNDARY}--\r\n".encode()
            )
            for _ in range(4):
                _, status, answer = sender.post("/read", body, f"multipart/form-data; boundary={BOUNDARY}")
                if status == 200:
                    return
                failed.append(status)  # on a busy machine it answers 500 now and then: sent again
            raise RuntimeError(f"BentoML answered {status}: {answer[:300]!r}")

        all_clients(clients, images[:64], send, url, "")  # the batcher learns how long batches take
        started = time.monotonic()
        all_clients(clients, images[8:], send, url, "")
        rate = (len(images) - 8) / (time.monotonic() - started)
        if failed:
            print(f"BentoML answered {len(failed)} requests with an error; they were sent again.")
        return rate


@contextmanager
def running_bento() -> Iterator[str]:
    """The competitor, on a port of its own."""
    python = _ENVIRONMENT / "bin" / "python"
    if not (_ENVIRONMENT / "ready").exists():
        print("Installing BentoML into an environment of its own ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", _ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "bentoml"], check=True)
        [packages] = _ENVIRONMENT.glob("lib/python*/site-packages")
        # torch and the network come from here, whatever BentoML brings itself comes first
        (packages / "firstread-bench.pth").write_text(f"{site.getsitepackages()[0]}\n{_REPOSITORY}\n")
        (_ENVIRONMENT / "ready").touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+b") as log:
        bento = subprocess.Popen(
            [python, "-m", "bentoml", "serve", "bench.bento_service:Reader", "--port", str(port)],
            cwd=_REPOSITORY,
            env=os.environ | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": folder},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            for _ in range(600):
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    connection.request("GET", "/readyz")
                    if connection.getresponse().status == 200:
                        break
                except OSError:
                    pass
                if bento.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"BentoML did not start:\n{log.read().decode()[-3000:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        except RuntimeError:
            log.seek(0)
            print(log.read().decode()[-3000:], file=sys.stderr)
            raise
        finally:
            os.killpg(bento.pid, signal.SIGTERM)
            try:
                bento.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(bento.pid, signal.SIGKILL)
                bento.wait()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = list(islice(fresh_jpegs(originals(Path(folder))), arguments.images + 8))
    bento = bento_rate(images, clients=arguments.clients)
    print(f"{'BentoML, answers':<44} {bento:7.1f} /s", flush=True)
    readings, admissions = firstread_rate(images, clients=arguments.clients)
    print(f"{'FirstRead, images admitted':<44} {admissions:7.1f} /s")
    print(f"{'FirstRead, readings committed':<44} {readings:7.1f} /s   {readings / bento:5.2f} x BentoML")


if __name__ == "__main__":
    main()
