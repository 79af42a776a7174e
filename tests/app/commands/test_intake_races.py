"""Senders, workers and readers at the same time: whoever comes second sees what the first one did."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands.intake import Admission, GivenMetadata, Readable, read
from app.commands.intake import admit as intake_admit
from app.commands.news import take_turns
from app.domain.order import Credits
from app.domain.roles import SYSTEM
from app.records import IdentityConflict, Image, Study
from app.records.engine import transaction
from tests.builders import MAX_BYTES, a_dicom, a_png, admit

_LONGEST = 20.0


def wait_for_a_lock(*others: Future[Any]) -> None:
    """Returns once somebody waits for a lock, or one of the others has ended without waiting."""
    deadline = time.monotonic() + _LONGEST
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while time.monotonic() < deadline and not any(other.done() for other in others):
        with transaction() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.02)


def test_one_instance_uid_sent_in_two_studies_at_once_is_a_conflict(database: str, blobs: Blobs) -> None:
    def send(study: str) -> Admission:
        with transaction() as session:
            data = a_dicom(study_instance_uid=study, sop_instance_uid="1.9.9", patient_id=study)
            return admit(session, blobs, data)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            admit(session, blobs, a_dicom(study_instance_uid="1.2.1", sop_instance_uid="1.9.9"))
            second = pool.submit(send, "1.2.2")
            wait_for_a_lock(second)
        assert "same SOPInstanceUID" in second.result(_LONGEST).warnings[0]
    with transaction() as session:
        assert session.scalars(select(IdentityConflict.kind)).all() == ["other-pixels"]


def send(blobs: Blobs, data: bytes) -> Admission:
    """Another sender of the same bytes."""
    with transaction() as session:
        return admit(session, blobs, data)


def test_one_picture_sent_twice_at_once_is_one_study(database: str, blobs: Blobs) -> None:
    data = a_png()

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            first = admit(session, blobs, data)
            second = pool.submit(send, blobs, data)
            wait_for_a_lock(second)
        again = second.result(_LONGEST)
    assert (again.created, again.study_id) == (False, first.study_id)
    with transaction() as session:
        assert session.scalar(select(func.count(Study.id))) == 1


def test_one_picture_whose_first_sender_breaks_off_is_admitted_by_the_second(
    database: str, blobs: Blobs
) -> None:
    data = a_png()

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            admit(session, blobs, data)
            second = pool.submit(send, blobs, data)
            wait_for_a_lock(second)
            session.rollback()
        admission = second.result(_LONGEST)
    assert admission.created
    with transaction() as session:
        assert session.get_one(Image, admission.image_id).study_id == admission.study_id


def test_senders_of_several_files_wait_in_no_circle(database: str, blobs: Blobs) -> None:
    """Each sends the instances of the other under another study, and each has begun."""
    begun = threading.Barrier(2)

    def send(study: str, *instances: str) -> list[bool]:
        of_study = {"study_instance_uid": study, "patient_id": "Ada"}
        files = [a_dicom(**of_study, sop_instance_uid=uid) for uid in instances]
        with transaction() as session, ExitStack() as stack:
            begun.wait(_LONGEST)
            readable = [stack.enter_context(_staged(blobs, data)) for data in files]
            take_turns(session, [file.header for file in readable])
            admitted = []
            for file in readable:
                admitted.append(_admit(session, blobs, file).created)
                time.sleep(0.1)
            return admitted

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(send, "1.2.1", "1.9.1", "1.9.2")
        other = pool.submit(send, "1.2.2", "1.9.2", "1.9.1")
        assert one.result(_LONGEST) == other.result(_LONGEST) == [True, True]
    with transaction() as session:
        assert session.scalars(select(IdentityConflict.kind)).all() == ["other-pixels"] * 2


@contextmanager
def _staged(blobs: Blobs, data: bytes) -> Iterator[Readable]:
    with blobs.stage(max_bytes=MAX_BYTES) as staged:
        staged.write(data)
        yield read(staged, file_name=None)


def _admit(session: Session, blobs: Blobs, file: Readable) -> Admission:
    return intake_admit(
        session, blobs, file=file, given=GivenMetadata(), by=SYSTEM, via="rest", credits=Credits()
    )
