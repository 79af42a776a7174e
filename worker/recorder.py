"""From what came of images to the records: the held leases, one transaction a batch, then the bell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import structlog

from app import counted, tracing
from app.commands import leases, recording, screening
from app.commands.registry import Lacking
from app.commands.screening import ImageToScreen, Recorded, StudyToScreen
from app.domain.order import Lane
from app.domain.reading import FindingRead, ImageRead
from app.domain.sentence import sentence
from app.errors import Unavailable, frames_of
from app.records.engine import transaction
from app.settings import Settings
from worker import traced
from worker.network import Loaded
from worker.screen import ImageScreened

_PATIENCE_SECONDS = 5.0
"""How long finished work waits for a database that restarts, before the lease's expiry takes over."""

_NAMED = 50
"""Studies that a line of the log names at most."""

PROGRAM = version("firstread")
"""The program's version, which readings are made with."""

_log = structlog.get_logger(__name__)


class Recorder:
    """The studies this worker holds, and the only way it lets go of them; used by two threads."""

    def __init__(self, configuration: Settings, *, ring: Callable[[Iterable[UUID]], None]) -> None:
        """`ring` rings for deliveries once they are committed."""
        self._settings = configuration
        self._lease = timedelta(seconds=configuration.screening_lease)
        self._backoff = timedelta(seconds=configuration.retry_backoff)
        self._ring = ring
        self._held: dict[UUID, StudyToScreen] = {}
        self._prolonged = 0.0

    @property
    def held(self) -> list[StudyToScreen]:
        """Studies that are leased and not settled."""
        return list(self._held.values())

    def claim(self) -> list[StudyToScreen]:
        """The next studies that are due, leased. Raises Unavailable without a database."""
        began = tracing.now()
        with transaction() as session:
            studies = screening.claim_batch(session, size=self._settings.batch_size, lease=self._lease)
        traced.claimed(studies, began=began)
        if not self._held:  # else the leases held for longer than these come first
            self._prolonged = time.monotonic()
        self._held.update({study.study_id: study for study in studies})
        return studies

    def is_due(self) -> bool:
        """True where a study waits that nobody has leased. Raises Unavailable without a database."""
        with transaction() as session:
            return bool(leases.due(session, limit=1))

    def prolong(self) -> None:
        """What is held stays held, however slow its decoding, which has limits of its own."""
        if time.monotonic() - self._prolonged < self._lease.total_seconds() / 3:
            return
        with transaction() as session:
            leases.prolong(session, held=self._leases(), lease=self._lease)
        self._prolonged = time.monotonic()

    def give_back(self) -> None:
        """Nothing is held: what was not settled is free for any worker, at once and at no attempt's cost."""
        if not self._held:
            return
        try:
            with transaction() as session:
                leases.give_back(session, held=self._leases())
        except Unavailable:
            _log.warning("leases_left_to_expire", studies=len(self._held))
        self._held.clear()

    def _leases(self) -> dict[UUID, UUID]:
        return {study.study_id: study.lease for study in self.held}

    def postpone(self, study: StudyToScreen, sentence: str, *, lacking: Lacking | None = None) -> None:
        """The study is tried again later, or has failed for `sentence` after its last attempt.

        `lacking` says that it failed for want of a network.
        """

        def write() -> Recorded:
            with transaction() as session:
                return screening.postpone(
                    session,
                    study=study,
                    error=sentence,
                    attempts=self._settings.screening_attempts,
                    backoff=self._backoff,
                    credits=self._settings.credits,
                    lacking=lacking,
                )

        began = tracing.now()
        recorded = _patiently(write)
        self._held.pop(study.study_id, None)
        traced.postponed(study, began=began)
        _log.warning(
            "study_postponed",
            study=str(study.study_id),
            attempt=study.attempt,
            reason=sentence,
            **tracing.found_by(*traced.ids_of(study)),
        )
        self._ring(recorded.deliveries)
        counted.add(recorded.readings)

    def record(self, read: list[tuple[StudyToScreen, list[ImageRead]]], *, loaded: Loaded) -> None:
        """The readings are stored in one transaction; where it is refused, in one for each study."""
        if not read:
            return

        def write() -> Recorded:
            # without autoflush, or each statement would first write a part of what the commit writes at once
            with transaction() as session, session.no_autoflush:
                return recording.record(
                    session,
                    read=read,
                    bundle_sha256=loaded.sha256,
                    runtime=loaded.bundle.runtime,
                    made_with=loaded.bundle.conditions | {"program": PROGRAM},
                    credits=self._settings.credits,
                )

        began = tracing.now()
        try:
            recorded = _patiently(write)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001, logged below
            if len(read) > 1:  # one of them must not hold up the others
                _log.warning("batch_record_refused", **named(read), error=type(error).__name__)
                for one in read:
                    self.record([one], loaded=loaded)
                return
            study = read[0][0]
            _log.error(
                "record_refused",
                study=str(study.study_id),
                error=type(error).__name__,
                at=frames_of(error),
                **tracing.found_by(*traced.ids_of(study)),
            )
            self.postpone(study, sentence("The reading could not be stored."))
            return
        traced.recorded(read, loaded=loaded, began=began)
        for study, _ in read:
            self._held.pop(study.study_id, None)
        self._ring(recorded.deliveries)
        counted.add(recorded.readings)


def named(read: Sequence[tuple[StudyToScreen, object]]) -> dict[str, Any]:
    """For a line of the log: how many studies these are, and which, of very many the first."""
    return {"studies": len(read), "study_ids": [str(study.study_id) for study, _ in read[:_NAMED]]}


def image_read(image: ImageToScreen, result: ImageScreened, preview_sha256: str | None) -> ImageRead:
    """What the records keep of one image's result."""
    return replace(read_of(image.image_id, result), preview_sha256=preview_sha256)


def read_of(image_id: UUID, result: ImageScreened) -> ImageRead:
    """What came of one image, without a preview."""
    return ImageRead(
        image_id=image_id,
        outcome=result.outcome,
        reason=result.reason,
        findings={
            name: FindingRead(
                probability=finding.probability, present=finding.present, lane=Lane(finding.lane)
            )
            for name, finding in result.findings.items()
        },
        logits={name: finding.logit for name, finding in result.findings.items()},
        activation_maps={
            name: [[round(value, 5) for value in row] for row in finding.activation_map]
            for name, finding in result.findings.items()
        },
        notices=result.notices,
        urgency=result.urgency,
        embedding=result.embedding,
        place=result.place,
    )


def _patiently(action: Callable[[], Recorded]) -> Recorded:
    """The action's result, tried again for a while where the database does not answer; it may run twice."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return action()
        except Unavailable:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
