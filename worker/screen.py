"""Files and their headers in, what the network may say of each out: the one way an image is screened.

The header gate speaks first, the decoder children decode, one `Bundle.screen` call reads what passed. The
Celery task and `firstread predict` both come this way, so that what a site measures is what it works with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID

import structlog

from app.dicom.decoded import Presentation
from app.dicom.decoder_pool import DecoderPool
from app.dicom.gate import AGE_UNKNOWN, GateVerdict, header_gate
from app.dicom.image_header import ImageHeader
from app.domain.intended_use import IntendedUse
from app.domain.sentence import sentence
from app.domain.states import Outcome
from app.errors import DecodeFailed
from models.bundle import Bundle, FindingResult, ImageScreening, Manifest

MOST_IMAGES = 16
"""Images of one batch: what the runtimes take in one pass."""
UNLIKE_TRAINING = sentence("unlike the training images")
"""Notice of a screened image whose header is within the intended use and whose picture is unusual."""
MOST_PIXELS = 128 * 2**20
"""Pixels of one batch, a byte each once decoded; two batches are in memory at a time."""

Item = TypeVar("Item")

_log = structlog.get_logger(__name__)


class NetworkBroke(Exception):
    """The network answered for no image of a batch; the message is a sentence, and a later try may work."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """One image to screen; `door` is as in `header_gate`."""

    path: Path
    header: ImageHeader
    door: Literal["dicom", "file"]
    paediatric_source: bool = False
    image_id: UUID | None = None
    """Where it is a record's."""

    @property
    def pixels(self) -> int:
        """How much of a batch it fills."""
        return (self.header.rows or 0) * (self.header.columns or 0)


@dataclass(frozen=True, kw_only=True)
class ImageScreened:
    """What came of one image; `findings` is empty and `urgency` None unless it was screened."""

    outcome: Outcome
    reason: str | None = None
    findings: Mapping[str, FindingResult] = field(default_factory=dict)
    urgency: float | None = None
    notices: tuple[str, ...] = ()
    embedding: tuple[float, ...] | None = None
    """Features to find similar cases by; None unless it was screened by a bundle that gives them."""
    place: tuple[int, int] | None = None
    """As in `ImageScreening`."""
    retry_helps: bool = False
    """True where the failure lies with this machine and not with the image."""


class Batch:
    """Images on their way: held against the gate, and being decoded since it was made."""

    def __init__(
        self,
        files: Sequence[ImageFile],
        *,
        pool: DecoderPool,
        bundle: Bundle,
        preview_side: int = 0,
    ) -> None:
        """Starts the decoding; where previews are wanted, that of withheld images too."""
        self.files = tuple(files)
        self._bundle = bundle
        intended_use = _intended_use_of(bundle.manifest)
        self._verdicts = [
            header_gate(file.header, intended_use, paediatric_source=file.paediatric_source, door=file.door)
            for file in self.files
        ]
        self.decodings: list[Future[Presentation] | None] = [
            pool.presentation(
                file.path,
                file.header.media_type,
                preview_side=preview_side,
                reading_side=bundle.reading_side,
            )
            if preview_side or verdict.withheld is None
            else None
            for file, verdict in zip(self.files, self._verdicts, strict=True)
        ]

    def undecoded(self) -> list[Future[Presentation]]:
        """What still decodes."""
        return [future for future in self.decodings if future is not None and not future.done()]

    def for_network(self) -> list[ImageFile]:
        """What the gate let pass and what could be decoded; to be asked once nothing decodes any more."""
        return [
            file
            for file, verdict, future in zip(self.files, self._verdicts, self.decodings, strict=True)
            if verdict.withheld is None and future and not future.cancelled() and future.exception() is None
        ]

    def cancel(self) -> None:
        """No further decoding of this batch is begun."""
        for future in self.decodings:
            if future is not None:
                future.cancel()

    def screen(self) -> list[ImageScreened]:
        """One result per file, in order; waits for the decoding.

        Raises NetworkBroke where the network answers for no image at all.
        """
        results: dict[int, ImageScreened] = {}
        decoded: dict[int, Presentation] = {}
        for index, (verdict, future) in enumerate(zip(self._verdicts, self.decodings, strict=True)):
            if verdict.withheld is not None:
                results[index] = ImageScreened(
                    outcome=Outcome.WITHHELD, reason=verdict.withheld, notices=verdict.notices
                )
                continue
            assert future is not None
            presentation = _decoded(future)
            if isinstance(presentation, ImageScreened):
                results[index] = presentation
            else:
                decoded[index] = presentation
        answers = _answers(self._bundle, list(decoded.values()))
        for (index, presentation), answer in zip(decoded.items(), answers, strict=True):
            results[index] = _result(answer, verdict=self._verdicts[index], presentation=presentation)
        return [results[index] for index in range(len(self.files))]


def batches(
    items: Iterable[Item], *, pixels: Callable[[Item], int], most_images: int = MOST_IMAGES
) -> Iterator[list[Item]]:
    """The items in order, in lists of at most `most_images` and MOST_PIXELS; a larger image comes alone."""
    batch: list[Item] = []
    filled = 0
    for item in items:
        size = pixels(item)
        if batch and (len(batch) >= most_images or filled + size > MOST_PIXELS):
            yield batch
            batch, filled = [], 0
        batch.append(item)
        filled += size
    if batch:
        yield batch


def _intended_use_of(manifest: Manifest) -> IntendedUse:
    """What the header gate holds images against."""
    stated = manifest.intended_use
    return IntendedUse(
        min_age_years=float(stated["min_age_years"]),
        max_age_years=float(stated["max_age_years"]),
        modalities=tuple(stated["modalities"]),
        body_parts=tuple(stated["body_parts"]),
        views=tuple(stated["views"]),
    )


def _decoded(future: Future[Presentation]) -> Presentation | ImageScreened:
    try:
        return future.result()
    except DecodeFailed as error:  # the same bytes would fail again
        return ImageScreened(outcome=Outcome.FAILED, reason=error.detail)
    except (OSError, CancelledError, RuntimeError) as error:
        _log.warning("decoding_broke", error=type(error).__name__)
        return ImageScreened(
            outcome=Outcome.FAILED,
            reason=sentence(
                "The image could not be decoded because the decoder did not work on this machine."
            ),
            retry_helps=True,
        )


def _answers(bundle: Bundle, images: list[Presentation]) -> list[ImageScreening | ImageScreened]:
    """The network's answers. An image that breaks the network is told from a network that is broken."""
    if not images:
        return []
    try:
        return list(bundle.screen([image.grey for image in images]))
    except Exception as error:
        _log.exception("network_broke", images=len(images))
        if len(images) == 1:
            raise NetworkBroke(_broke(error)) from error
    answers: list[ImageScreening | ImageScreened] = []
    broken: Exception | None = None
    for image in images:
        try:
            answers.extend(bundle.screen([image.grey]))
        except Exception as error:  # noqa: BLE001, whatever it is, it is this image's alone
            broken = error
            answers.append(ImageScreened(outcome=Outcome.FAILED, reason=_broke(error)))
    if broken is not None and all(isinstance(answer, ImageScreened) for answer in answers):
        raise NetworkBroke(_broke(broken)) from broken
    return answers


def _broke(error: Exception) -> str:
    return sentence(f"The network broke while it read this image ({type(error).__name__}).")


def _result(
    answer: ImageScreening | ImageScreened, *, verdict: GateVerdict, presentation: Presentation
) -> ImageScreened:
    if isinstance(answer, ImageScreened):
        return answer
    notices = tuple(dict.fromkeys((*verdict.notices, *presentation.notices)))
    if answer.unlike is not None and AGE_UNKNOWN in verdict.notices:
        # Nothing but the picture tells whom it shows, and the picture speaks against the intended use.
        return ImageScreened(outcome=Outcome.WITHHELD, reason=answer.unlike, notices=notices)
    screened = answer.outcome == "screened"
    return ImageScreened(
        outcome=Outcome(answer.outcome),
        reason=answer.reason,
        findings=answer.findings,
        urgency=answer.urgency if screened else None,
        embedding=answer.embedding if screened else None,
        place=answer.place,
        notices=(*notices, *answer.notices, *([] if answer.unlike is None else [UNLIKE_TRAINING])),
    )
