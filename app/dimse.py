"""From an image that came by C-STORE to an admitted one: between the DICOM listener and the commands.

Each image is a transaction of its own; the answer is given after it commits.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import structlog

from app import queue, tracing
from app.blobs import Blobs, StagedFile
from app.commands import intake
from app.commands.audit import RefusalLog
from app.commands.intake import Admission, GivenMetadata
from app.dicom.association import NOT_STORED
from app.dicom.sender import Announced, Sender
from app.domain.roles import Actor, Permission
from app.errors import Problem, UidContradiction, Unavailable, frames_of
from app.records.engine import transaction
from app.settings import Settings

VIA = "dimse"
_log = structlog.get_logger(__name__)


class DimseIntake:
    """The listener's images are admitted as all others; `count` is told each outcome."""

    def __init__(self, settings: Settings, *, count: Callable[[str], None]) -> None:
        self._blobs = Blobs(settings.blob_folder)
        self._most_bytes, self._credits = settings.max_file_bytes, settings.credits
        self._refusals = RefusalLog()
        self._refusals.start()
        self._count = count
        self._began: WeakKeyDictionary[StagedFile, int] = WeakKeyDictionary()
        """When the first bytes of an image came, as by `tracing.now`."""

    def stage(self) -> StagedFile:
        """A staged file as large as a file may be. Raises Unavailable where the disk is full."""
        staged = self._blobs.stage(max_bytes=self._most_bytes)
        self._began[staged] = tracing.now()
        return staged

    def keep(self, staged: StagedFile, announced: Announced, sender: Sender) -> None:
        """The image is admitted, committed and rung for; raises Problem, and then nothing of it is left."""
        received = tracing.now()
        try:
            admission, read = self._admit(staged, announced, sender)
        except Problem as problem:
            self._refused(problem, sender, sha256=staged.sha256)
            raise
        except Exception as error:
            # its text may quote the row that it speaks of
            _log.error("image_not_admitted", error=type(error).__name__, at=frames_of(error))
            self._count("refused")
            if isinstance(error, OSError):
                raise Unavailable(NOT_STORED) from error
            raise Problem("Something broke on our side; it has been logged.") from error
        committed = tracing.now()
        self._count("admitted" if admission.created else "duplicate")
        if admission.needs_screening:
            queue.ring(queue.SCREEN, str(admission.study_id))
        _log.info(
            "image_admitted",
            study=str(admission.study_id),
            image=str(admission.image_id),
            via=VIA,
            bytes=staged.size,
            is_new=admission.created,
            **tracing.found_by(admission.image_id),
        )
        if admission.created:
            began, rung = self._began.get(staged, received), tracing.now()
            tracing.tell_arrival(
                admission.image_id,
                door="C-STORE",
                step=(began, rung),
                parts=tracing.at_door(
                    began=began, received=received, read=read, committed=committed, rung=rung
                ),
                facts={"via": VIA, "study": str(admission.study_id), "bytes": staged.size, "images": 1},
            )

    def _admit(self, staged: StagedFile, announced: Announced, sender: Sender) -> tuple[Admission, int]:
        """And when the header had been read, as by `tracing.now`."""
        staged.sync_meanwhile()
        file = intake.read(staged, file_name=None)
        said = (file.header.sop_class_uid, file.header.sop_instance_uid)
        if said != (announced.sop_class_uid, announced.sop_instance_uid):
            raise UidContradiction("The dataset is another instance than its C-STORE request says.")
        read = tracing.now()
        with transaction() as session:
            admission = intake.admit(
                session,
                self._blobs,
                file=file,
                given=GivenMetadata(),
                by=_actor(sender),
                via=VIA,
                credits=self._credits,
            )
        return admission, read

    def not_received(self, problem: Problem, sender: Sender) -> None:
        """What did not come whole is audited as what was refused."""
        self._refused(problem, sender)

    def turned_away(self, title: str | None, address: str, *, why: str) -> None:
        """Audited as an unknown key is; the first of a minute each, and the rest by their number."""
        _log.warning("caller_turned_away", calling_title=title, address=address, why=why)
        by = Actor(kind="anonymous", id=None, name="anonymous", address=address)
        self._audit(by, why, **({} if title is None else {"calling_title": title}))

    def not_understood(self, title: str | None, address: str) -> None:
        """Audited as a wrong caller is."""
        _log.warning("association_not_understood", calling_title=title, address=address)
        by = Actor(kind="anonymous", id=None, name="anonymous", address=address)
        self._audit(by, "not-understood", **({} if title is None else {"calling_title": title}))

    def close(self) -> None:
        """Writes the refusals that were only counted."""
        self._refusals.close()

    def _refused(self, problem: Problem, sender: Sender, **details: str) -> None:
        self._count("refused")
        _log.warning("image_refused", reason=problem.slug, calling_title=sender.title, address=sender.address)
        if not problem.retry_helps:
            self._audit(_actor(sender), problem.slug, **details)

    def _audit(self, by: Actor, reason: str, **details: str) -> None:
        try:
            self._refusals.refuse(by=by, reason=reason, via=VIA, **details)
        except Unavailable:
            _log.warning("refusal_not_audited", reason=reason)


def _actor(sender: Sender) -> Actor:
    """An application entity is known by its title and its address, and by nothing that only it could know."""
    return Actor(
        kind="device",
        id=None,
        name=sender.title,
        permissions=frozenset({Permission.ADMIT}),
        address=sender.address,
    )
