"""From received files to admitted images: one transaction for all of a request, and one outcome per file."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from fastapi import Request

from app import queue, tracing
from app.commands import intake, news
from app.commands.intake import Admission, GivenMetadata, Readable
from app.dicom.reference import SopReference, sop_reference
from app.domain.roles import Actor
from app.errors import Problem, UidContradiction, Unavailable, Unreadable
from app.records.engine import transaction
from app.settings import settings
from app.web import arrivals, metrics
from app.web.arrivals import Arrived
from app.web.parts import parts_of
from app.web.problems import refuse
from app.web.upload import Received, ReceivedPart


@dataclass(kw_only=True)
class FileOutcome:
    """What became of one file; either `admission` or `problem` is set once `admit_all` returns."""

    file_name: str | None
    sha256: str | None = None
    reference: SopReference | None = None
    """The instance the file says it is, where that could be read."""
    admission: Admission | None = None
    problem: Problem | None = None

    @property
    def outcome(self) -> str:
        """admitted, duplicate or refused."""
        if self.admission is None:
            return "refused"
        return "admitted" if self.admission.created else "duplicate"


def admit_all(
    request: Request,
    received: Received,
    *,
    given: GivenMetadata,
    by: Actor,
    via: str,
    study_instance_uid: str | None = None,
    only: str | None = None,
) -> list[FileOutcome]:
    """Every good file is admitted and committed, the bell has rung, and each refusal has its audit row.

    `only` is the media type of a way in that takes no other. One bad file refuses only itself. Raises
    Unavailable where the disk or the database cannot take any. Call it in a thread.
    """
    try:
        received.finish()
        return _admit_all(
            request,
            received.files,
            given=given,
            by=by,
            via=via,
            study_instance_uid=study_instance_uid,
            only=only,
        )
    finally:
        received.discard()


def _admit_all(
    request: Request,
    files: list[ReceivedPart],
    *,
    given: GivenMetadata,
    by: Actor,
    via: str,
    study_instance_uid: str | None,
    only: str | None,
) -> list[FileOutcome]:
    for file in files:
        if file.staged is not None and file.problem is None:
            file.staged.sync_meanwhile()
    received = tracing.now()
    outcomes = [FileOutcome(file_name=file.file_name) for file in files]
    readable: list[tuple[FileOutcome, Readable]] = []
    for file, outcome in zip(files, outcomes, strict=True):
        try:
            readable.append((outcome, _read(file, outcome, study_instance_uid=study_instance_uid, only=only)))
        except Unavailable:
            raise
        except Problem as problem:
            outcome.problem = problem
    read = tracing.now()
    _admit(request, readable, given=given, by=by, via=via)
    committed = tracing.now()
    due = {str(o.admission.study_id) for o in outcomes if o.admission and o.admission.needs_screening}
    queue.ring(queue.SCREEN, *due)
    images = [
        (outcome.admission, file.staged.size) for outcome, file in readable if outcome.admission is not None
    ]
    arrivals.note(
        request,
        Arrived(
            via=via, images=images, received=received, read=read, committed=committed, rung=tracing.now()
        ),
    )
    for outcome in outcomes:
        metrics.images_received.labels(via, outcome.outcome).inc()
        if outcome.problem is not None:
            refuse(request, outcome.problem, via=via, sha256=outcome.sha256)
    return outcomes


def _read(
    file: ReceivedPart, outcome: FileOutcome, *, study_instance_uid: str | None, only: str | None
) -> Readable:
    """The header of one file; its bytes are on their way to the disk."""
    if file.problem is not None:
        raise file.problem
    assert file.staged is not None
    outcome.sha256 = file.staged.sha256
    if file.staged.size == 0:
        raise Unreadable("The file is empty. Send the radiograph.")
    try:
        readable = intake.read(file.staged, file_name=file.file_name)
    except Problem:
        outcome.reference = sop_reference(file.staged.path)
        raise
    header = readable.header
    if only is not None and header.media_type != only:
        raise Unreadable("Only DICOM instances are taken here. Send PNG and JPEG to /api/v1/studies.")
    outcome.reference = SopReference(
        sop_class_uid=header.sop_class_uid, sop_instance_uid=header.sop_instance_uid
    )
    if study_instance_uid is not None and header.study_instance_uid != study_instance_uid:
        raise UidContradiction(
            "The instance's StudyInstanceUID is not the one in the address. Send it to its own study."
        )
    return readable


def _admit(
    request: Request,
    readable: list[tuple[FileOutcome, Readable]],
    *,
    given: GivenMetadata,
    by: Actor,
    via: str,
) -> None:
    if not readable:
        return
    # In one order for all senders: pictures and workers wait for each other too.
    readable = sorted(
        readable, key=lambda pair: (pair[1].header.study_instance_uid or "", pair[0].sha256 or "")
    )
    blobs, credits = parts_of(request).blobs, settings().credits
    with transaction() as session:
        if len(readable) > 1:
            news.take_turns(session, [file.header for _, file in readable])
        for outcome, file in readable:
            try:
                # A refusal among several is undone alone; one on its own has written nothing.
                with session.begin_nested() if len(readable) > 1 else nullcontext():
                    outcome.admission = intake.admit(
                        session, blobs, file=file, given=given, by=by, via=via, credits=credits
                    )
            except Unavailable:
                raise
            except Problem as problem:
                outcome.problem = problem
