"""What a worker holds while it decodes, reads and records at once, and senders who come in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, text

from app.blobs import Blobs
from app.commands.leases import prolong
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from tests.app.commands.test_intake_races import wait_for_a_lock
from tests.builders import a_dicom, admit, an_admitted_study, image_read
from worker.network import Network
from worker.recorder import Recorder

_LONGEST = 20.0


def recorder() -> Recorder:
    return Recorder(settings(), ring=lambda _: None)


def test_late_images_of_studies_that_are_being_recorded_wait_in_no_circle(
    database: str, blobs: Blobs, loaded_once: None
) -> None:
    """The worker has the studies in the order of the worklist, the sender in that of their UIDs."""
    uids = ("1.2.2", "1.2.1")
    for uid in uids:
        an_admitted_study(blobs, study_instance_uid=uid, patient_id="Ada")
    loaded, ours = Network(blobs, device="cpu", configured=None).current(), recorder()
    studies = ours.claim()
    read = [(study, [image_read(image.image_id) for image in study.images]) for study in studies]
    sent = threading.Event()

    def record() -> None:
        sent.wait(_LONGEST)
        ours.record(read, loaded=loaded)

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(record)
        with transaction() as session:
            for uid in sorted(uids):
                admit(session, blobs, a_dicom(study_instance_uid=uid, patient_id="Ada"))
                if not sent.is_set():
                    sent.set()
                    wait_for_a_lock(worker)
                    time.sleep(1.2)  # of two in a circle, PostgreSQL refuses the one that came last
        worker.result(_LONGEST)
    with transaction() as session:
        assert session.scalars(select(Study.screening_due)).all() == [True, True]
        assert session.scalars(select(Study.revision)).all() == [3, 3]


def test_what_is_being_recorded_is_not_prolonged_and_not_waited_for(database: str, blobs: Blobs) -> None:
    """Else the thread that reads would wait for the thread that records, and each for the other."""
    for _ in range(2):
        an_admitted_study(blobs)
    first, second = recorder().claim()
    held = {study.study_id: study.lease for study in (first, second)}
    with transaction() as recording:
        recording.get_one(Study, first.study_id, with_for_update=True)
        with transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert prolong(session, held=held, lease=timedelta(seconds=60)) == 1


def test_a_batch_claimed_ahead_does_not_let_the_lease_of_the_one_before_run_out(
    database: str, blobs: Blobs, configure: Callable[..., None]
) -> None:
    configure(screening_lease=6, batch_size=1)
    for _ in range(2):
        an_admitted_study(blobs)
    ours = recorder()
    [first] = ours.claim()
    _let_pass(ours, first.study_id, seconds=3)
    ours.claim()
    ours.prolong()
    with transaction() as session:
        expires = session.get_one(Study, first.study_id).screening_lease_expires_at
    assert expires is not None
    assert expires > now() + timedelta(seconds=4)


def _let_pass(ours: Recorder, study_id: UUID, *, seconds: float) -> None:
    ours._prolonged -= seconds
    with transaction() as session:
        study = session.get_one(Study, study_id)
        assert study.screening_lease_expires_at is not None
        study.screening_lease_expires_at -= timedelta(seconds=seconds)
