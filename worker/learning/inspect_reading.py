"""Every file of a dataset read: its header, its picture small, and what the active network's gate says."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.blobs import Blobs
from app.dicom.decoded import Presentation
from app.dicom.decoder_pool import DecoderPool
from app.dicom.gate import header_gate
from app.dicom.header import read_header
from app.dicom.image_header import DICOM, ImageHeader
from app.dicom.stated_facts import header_facts
from app.domain import patient_key
from app.domain.intended_use import IntendedUse
from app.domain.sentence import sentence
from app.errors import DecodeFailed, NotAnImage, NotFound, Problem, Unavailable
from models.bundle import Bundle
from models.preprocess import squash
from worker.learning.child import Report
from worker.learning.inspect_file import (
    NOT_AN_IMAGE,
    UNREADABLE,
    USABLE,
    WITHHELD,
    InspectedFile,
)
from worker.learning.inspect_labels import refuse_unlabelled

STAGE = sentence("Reading the files")
THUMBNAIL_SIDE = 192
_AHEAD = 48
"""Pictures that are being decoded or wait to be looked at."""
_TOGETHER = 16
_KEEPERS = 8
"""Threads that keep thumbnails: each waits for the disk."""


class Reader:
    """Reads the files of one dataset; `squares` is uint8 (files, side, side), which may lie on a disk."""

    def __init__(
        self, *, blobs: Blobs, bundle: Bundle, pool: DecoderPool, squares: NDArray[np.uint8], manifests: bool
    ) -> None:
        self._blobs = blobs
        self._bundle = bundle
        self._pool = pool
        self._squares = squares
        self._manifests = manifests
        stated: dict[str, Any] = dict(bundle.manifest.intended_use)
        self._use = IntendedUse(
            min_age_years=float(stated["min_age_years"]),
            max_age_years=float(stated["max_age_years"]),
            modalities=tuple(stated["modalities"]),
            body_parts=tuple(stated["body_parts"]),
            views=tuple(stated["views"]),
        )
        self._filled = 0
        self._waiting: list[tuple[InspectedFile, NDArray[np.uint8]]] = []

    def read(self, files: list[InspectedFile], *, report: Report) -> None:
        """Each file that is a picture has its square, facts, thumbnail and outcome; each other one its
        outcome and why. Raises Unavailable where the decoders cannot run or the disk is full.
        """
        decoding: deque[tuple[InspectedFile, Future[Presentation]]] = deque()
        keeping: deque[tuple[InspectedFile, Future[str]]] = deque()
        with ThreadPoolExecutor(_KEEPERS, thread_name_prefix="thumbnails") as keepers:

            def take() -> None:
                file, future = decoding.popleft()
                thumbnail = self._taken(file, future)
                if thumbnail:
                    keeping.append((file, keepers.submit(self._blobs.put, thumbnail)))
                while keeping and (len(keeping) > _AHEAD or keeping[0][1].done()):
                    kept, sha256 = keeping.popleft()
                    kept.thumbnail_sha256 = sha256.result()

            for number, file in enumerate(files, start=1):
                future = self._begun(file)
                if future is not None:
                    decoding.append((file, future))
                if len(decoding) >= _AHEAD:
                    take()
                report(STAGE, number, len(files))
            while decoding:
                take()
            for file, sha256 in keeping:
                file.thumbnail_sha256 = sha256.result()
        self._look()

    def _begun(self, file: InspectedFile) -> Future[Presentation] | None:
        """The decoding of a picture; None for what is none or was told apart before."""
        if file.outcome not in (None, "duplicate"):
            return None
        try:
            path = self._blobs.path(file.sha256)
            header = read_header(path, with_attributes=False)
        except NotAnImage as problem:
            file.is_out(NOT_AN_IMAGE, problem.detail)
            return None
        except Unavailable:
            raise
        except (Problem, OSError) as problem:
            said = problem.detail if isinstance(problem, Problem) else NotFound.title
            file.is_out(UNREADABLE, said)
            return None
        header = self._take_facts(file, header)
        if file.outcome is None:
            if not file.label:
                refuse_unlabelled(file, by_manifest=self._manifests)
                return None
            verdict = header_gate(header, self._use, paediatric_source=False, door="file")
            if verdict.withheld is not None:
                file.is_out(WITHHELD, verdict.withheld)
        return self._pool.presentation(
            path, header.media_type, preview_side=THUMBNAIL_SIDE, reading_side=self._bundle.reading_side
        )

    def _take_facts(self, file: InspectedFile, header: ImageHeader) -> ImageHeader:
        """What the header says counts before what a manifest says; the header, with what only that says."""
        if header.media_type == DICOM:
            of_dicom = patient_key.of_dicom(patient_id=header.patient_id, issuer=header.issuer_of_patient_id)
            file.patient_key = of_dicom or file.patient_key
        known = {"media_type": header.media_type, "rows": header.rows, "columns": header.columns}
        file.facts |= header_facts(header)
        file.facts |= {name: value for name, value in known.items() if value is not None}
        return replace(header, age_years=file.facts.get("age_years"), view_position=file.facts.get("view"))

    def _taken(self, file: InspectedFile, future: Future[Presentation]) -> bytes | None:
        """The picture's square and hash are there; returns its thumbnail."""
        try:
            picture = future.result()
        except DecodeFailed as problem:
            file.is_out(UNREADABLE, problem.detail)
            return None
        grey = picture.grey
        file.pixels = hashlib.sha256(
            f"{picture.rows} {picture.columns} ".encode() + grey.tobytes()
        ).hexdigest()
        levels = squash(grey, side=self._squares.shape[1])
        self._squares[self._filled] = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        file.square = self._filled
        self._filled += 1
        if file.outcome is None:
            file.outcome = USABLE
            self._waiting.append((file, grey))
            if len(self._waiting) >= _TOGETHER:
                self._look()
        return picture.preview_jpeg

    def _look(self) -> None:
        """The pixel gate on what waits for it."""
        waiting, self._waiting = self._waiting, []
        answers = self._bundle.screen([grey for _, grey in waiting])
        for (file, _), answer in zip(waiting, answers, strict=True):
            if answer.outcome == "withheld":
                file.is_out(WITHHELD, answer.reason)
            file.unlike = answer.unlike is not None
