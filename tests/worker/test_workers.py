"""Celery workers as an operator starts them, killed at the worst moment and robbed of their broker."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

from redis import Redis
from sqlalchemy import func, select

from app import queue
from app.blobs import Blobs
from app.commands import delivery
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.embedded.child import process_alive
from app.embedded.valkey import EmbeddedValkey
from app.records import Reading, Study
from app.records.engine import transaction
from app.settings import settings
from tests.builders import a_dicom, admit, an_admitted_study
from tests.worker.conftest import StartWorker, children_of, until
from worker.sweep import Sweeper


def states() -> dict[str, int]:
    with transaction() as session:
        rows = session.execute(select(Study.state, func.count()).group_by(Study.state)).all()
        return {row[0]: row[1] for row in rows}


def is_screened(study_id: UUID) -> bool:
    with transaction() as session:
        return session.get_one(Study, study_id).state == State.SCREENED.value


def readings_by_study() -> dict[UUID, int]:
    with transaction() as session:
        rows = session.execute(select(Reading.study_id, func.count()).group_by(Reading.study_id)).all()
        return {row[0]: row[1] for row in rows}


def admit_pictures(blobs: Blobs, count: int) -> list[str]:
    with transaction() as session:
        return [str(admit(session, blobs, a_dicom(rows=256, columns=224)).study_id) for _ in range(count)]


def test_a_worker_screens_what_is_rung_for_and_what_is_not_and_ends_in_order(
    blobs: Blobs, start_worker: StartWorker, valkey: EmbeddedValkey
) -> None:
    before = an_admitted_study(blobs)  # nobody rings for it: a worker that starts looks for itself
    worker = start_worker()
    until(lambda: is_screened(before.study_id))
    [(name, facts)] = queue.workers().items()
    assert name == "screening-0@test"
    until(lambda: queue.workers().get(name, {}).get("runtime"))
    assert facts.get("network", "paediatric-pneumonia 1").startswith("paediatric-pneumonia")

    rung = an_admitted_study(blobs)
    queue.ring(queue.SCREEN, str(rung.study_id))
    until(lambda: is_screened(rung.study_id))

    lost = an_admitted_study(blobs)
    queue.ring(queue.SCREEN, str(lost.study_id))
    Redis(unix_socket_path=str(valkey.socket)).flushall()
    forgotten = an_admitted_study(blobs)
    Sweeper(settings(), blobs=blobs).sweep()
    until(lambda: is_screened(lost.study_id) and is_screened(forgotten.study_id))

    if not Path("/dev/nvidiactl").exists():
        assert "libtorch" not in Path(f"/proc/{worker.pid}/maps").read_text()
    children = children_of(worker.pid)
    assert len(children) == settings().decoder_processes
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert time.monotonic() - started < 10
    assert not any(map(process_alive, children))


def test_forty_studies_are_each_read_once_by_two_workers_of_which_one_is_killed(
    blobs: Blobs, start_worker: StartWorker, configure: Callable[..., None]
) -> None:
    configure(screening_lease=2, batch_size=4)
    with transaction() as session:  # large ones first, so that the worker dies in the middle of work
        ids = [str(admit(session, blobs, a_dicom(rows=1200, columns=1000)).study_id) for _ in range(4)]
    ids += admit_pictures(blobs, 36)
    doomed = start_worker()
    until(lambda: State.SCREENING.value in states())
    doomed.kill()
    doomed.wait()
    left = states()
    assert left.get(State.SCREENING.value, 0) > 0
    workers = [start_worker(), start_worker()]
    queue.ring(queue.SCREEN, *ids)
    sweeper = Sweeper(settings(), blobs=blobs)

    def all_screened() -> bool:
        sweeper.sweep()
        time.sleep(0.3)
        return states() == {State.SCREENED.value: 40}

    until(all_screened, seconds=60)
    assert readings_by_study() == {UUID(id_): 1 for id_ in ids}
    assert all(worker.poll() is None for worker in workers)


def test_a_worker_that_is_told_to_end_amid_a_backlog_leaves_nothing_leased(
    blobs: Blobs, start_worker: StartWorker, configure: Callable[..., None]
) -> None:
    configure(screening_lease=600, batch_size=2)
    admit_pictures(blobs, 40)
    worker = start_worker()
    until(lambda: State.SCREENED.value in states())
    worker.send_signal(signal.SIGTERM)
    worker.wait(15)
    with transaction() as session:
        assert session.scalar(select(func.count()).where(Study.screening_lease.is_not(None))) == 0
        assert session.scalar(select(func.max(Study.screening_attempts)).where(Study.screening_due)) in (
            0,
            None,
        )


def test_the_duty_worker_sweeps_and_delivers_by_itself(
    blobs: Blobs, start_worker: StartWorker, configure: Callable[..., None]
) -> None:
    configure(sweep_interval=0.5, destination_ranges="127.0.0.0/8")
    arrived = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with transaction() as session:
        delivery.add_destination(
            session, name="RIS", url=f"http://127.0.0.1:{server.server_port}/", by=SYSTEM
        )
    start_worker(queue="duty", threads=4)
    start_worker()
    admission = an_admitted_study(blobs)  # nobody rings
    until(lambda: is_screened(admission.study_id))
    assert arrived.wait(20)
    server.shutdown()
    server.server_close()


def test_the_decoders_of_a_killed_worker_die_with_it(blobs: Blobs, start_worker: StartWorker) -> None:
    admission = an_admitted_study(blobs)
    worker = start_worker()
    until(lambda: is_screened(admission.study_id))
    children = children_of(worker.pid)
    assert children
    worker.kill()
    worker.wait()
    until(lambda: not any(map(process_alive, children)), seconds=10)
