"""A snapshot's images without their patients, in one zip, with a manifest that names nobody."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.blobs import Blobs
from app.dicom.decoded import PixelValues
from app.dicom.decoder_pool import DecoderPool
from app.dicom.deidentify import METHOD, deidentify, may_show_its_patient, redraw, view_word
from app.dicom.header import read_header
from app.dicom.image_header import DICOM
from app.dicom.lettering import Box, covers, deep_text_boxes, painted_over, text_boxes
from app.dicom.pseudonyms import Pseudonyms
from app.domain.sentence import sentence
from app.domain.snapshot import SnapshotRow, read_manifest
from app.errors import Problem
from worker.learning.child import Report, Tell

_COLUMNS = ("path", "label", "subtype", "patient_key", "split", "source", "blind", "reviewer", "view")
_STAGE = sentence("Taking the patients out")
_CHUNK = 4 * 2**20
_LARGEST = 1024**4
_UNREADABLE, _LETTERED = "unreadable", "lettered"
_ABOUT = """Radiographs without their patients.

Method: {method}.
Dates: {dates}. Patients and readers: pseudonyms made with a secret that the site keeps.
Images with letters burned in, or where letters seemed to be: {burned_in}. No program finds all of them:
look at the images before you pass them on.
manifest.csv has a line for each image.
"""


@dataclass(frozen=True)
class _Order:
    """What is asked of one image."""

    blobs: Blobs
    names: Pseudonyms
    dates: str
    masks: bool
    pool: DecoderPool


class _LeftOut(Exception):
    """The image is not exported; the message is why."""


def run(order: dict[str, Any], *, report: Report, tell: Tell) -> dict[str, Any]:  # noqa: ARG001
    """The zip is a blob. Images that cannot be read, or may show letters, are left out and counted."""
    folder, blobs = Path(order["folder"]), Blobs(Path(order["blobs"]))
    names = Pseudonyms(bytes.fromhex(order["secret"]))
    left_out: Counter[str] = Counter()
    manifest = io.StringIO()
    lines = csv.writer(manifest, lineterminator="\n")
    lines.writerow(_COLUMNS)
    zipped, done, exported = folder / "export.zip", 0, 0
    with (
        DecoderPool(
            processes=1, seconds=order["decoder_seconds"], memory_bytes=order["decoder_memory"]
        ) as pool,
        zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        Path(order["manifest"]).open(encoding="utf-8", newline="") as rows,
    ):
        asked = _Order(blobs, names, order["dates"], order["burned_in"] == "masked", pool)
        for row in read_manifest(rows):
            try:
                name = _add(archive, row, asked, folder / "image")
                lines.writerow(_line(row, name, names))
                exported += 1
            except _LeftOut as why:
                left_out[str(why)] += 1
            done += 1
            report(_STAGE, done, order["images"])
        archive.writestr(_dated("manifest.csv"), manifest.getvalue())
        about = _ABOUT.format(method=METHOD, dates=order["dates"], burned_in=order["burned_in"])
        archive.writestr(_dated("README.txt"), about)
    return _kept(blobs, zipped) | {"images": exported, "left_out": _told(left_out)}


def _add(archive: zipfile.ZipFile, row: SnapshotRow, asked: _Order, target: Path) -> str:
    try:
        path = asked.blobs.path(row.path)
        header = read_header(path)
        grey = asked.pool.presentation(path, header.media_type, preview_side=0).result().grey
        boxes, is_dicom = text_boxes(grey), header.media_type == DICOM
        boxes += _boxes_at_full_depth(asked.pool.values(path, header.media_type).result())
        if (
            covers(boxes, grey.shape)
            or (boxes and not asked.masks)
            or (may_show_its_patient(header) and not (boxes and asked.masks))
        ):
            raise _LeftOut(_LETTERED)
        masked = painted_over(grey, boxes) if boxes else None
        if is_dicom:
            deidentify(
                path, target, patient_key=row.patient_key, names=asked.names, dates=asked.dates, masked=masked
            )
        else:
            redraw(path, target, masked=masked)
    except Problem as problem:
        raise _LeftOut(_UNREADABLE) from problem
    name = f"images/{asked.names.image(row.path)}.{'dcm' if is_dicom else 'png'}"
    with target.open("rb") as image, archive.open(_dated(name), "w") as member:
        while chunk := image.read(_CHUNK):
            member.write(chunk)
    return name


def _boxes_at_full_depth(values: PixelValues) -> tuple[Box, ...]:
    """The samples leave as they are, so that letters no window of the header shows can be read in them."""
    samples = np.frombuffer(values.data, "<u2").reshape(values.rows, values.columns)
    return deep_text_boxes(samples, ranges=((values.minimum, values.maximum),))


def _line(row: SnapshotRow, name: str, names: Pseudonyms) -> tuple[str, ...]:
    patient, reader = names.patient(row.patient_key), names.reader(row.reviewer)
    view = view_word(row.view)
    return (name, row.label, row.subtype, patient, row.split, row.source, row.blind, reader, view)


def _dated(name: str) -> zipfile.ZipInfo:
    """A member without the moment it was made."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
    return info


def _kept(blobs: Blobs, zipped: Path) -> dict[str, Any]:
    with blobs.stage(max_bytes=_LARGEST) as staged, zipped.open("rb") as made:
        while chunk := made.read(_CHUNK):
            staged.write(chunk)
        sha256 = blobs.keep(staged)
    size = zipped.stat().st_size
    zipped.unlink()
    return {"sha256": sha256, "byte_size": size}


def _told(left_out: Counter[str]) -> list[str]:
    told = []
    if letters := left_out[_LETTERED]:
        told.append(sentence(f"Images in which letters are burned, or seem to be, left out: {letters}."))
    if unreadable := left_out[_UNREADABLE]:
        told.append(sentence(f"Images that could not be read, left out: {unreadable}."))
    return told
