"""Files that lie, nest without end, or are no images: refused with a sentence, within bounds of memory and
time.
"""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.dicom import header as header_module
from app.dicom import part10
from app.dicom.header import read_header
from app.dicom.reference import sop_reference
from app.dicom.write import wrap, write_phantom
from app.errors import NotAnImage, Problem, TooLarge, Unreadable

from .conftest import Keep

Ramp = NDArray[np.uint16]
SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)


def part10_file(dataset: bytes, *, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    meta = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    return part10.PREAMBLE + length + meta + dataset


def peak_megabytes(path: Path) -> float:
    """Read the header, whatever comes of it, and say how much memory Python asked for at once."""
    tracemalloc.start()
    try:
        read_header(path)
    except Problem:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / 2**20


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\0" * 500, "nothing but blanks"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>" * 9, "web page"),
        (b"<?xml version='1.0'?>" + b" " * 200, "XML"),
        (b"%PDF-1.7" + b" " * 200, "PDF"),
        (b"PK\x03\x04" + b"\x14" * 200, "ZIP"),
        (b"GIF89a" + b"\x14" * 200, "GIF"),
        (b"II*\0" + b"\x14" * 200, "TIFF"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + b"\x14" * 200, "WebP"),
        (b"patient,age\n1,3\n" * 20, "text"),
        (bytes(range(128, 256)) * 4, "neither DICOM nor PNG nor JPEG"),
    ],
)
def test_what_is_no_image_is_named_and_refused(data: bytes, words: str, keep: Keep) -> None:
    with pytest.raises(NotAnImage, match=words) as refusal:
        read_header(keep(data))
    assert "Send" in refusal.value.detail


def test_absurd_dimensions_are_refused_before_memory_is_spent(keep: Keep, ramp: Ramp) -> None:
    path = keep(wrap(ramp, tags={"Rows": 60_000, "Columns": 60_000}))
    with pytest.raises(TooLarge, match="60000 x 60000"):
        read_header(path)
    assert peak_megabytes(path) < 2


def test_more_frames_than_memory_could_hold_are_refused(keep: Keep, ramp: Ramp) -> None:
    with pytest.raises(TooLarge, match="All frames together"):
        read_header(keep(wrap(ramp, tags={"Rows": 4000, "Columns": 4000, "NumberOfFrames": 100_000})))


def test_sequences_nested_without_end_are_refused(keep: Keep) -> None:
    path = keep(part10_file((SEQUENCE + ITEM) * 200_000))
    started = time.process_time()
    with pytest.raises((Unreadable, TooLarge)):
        read_header(path)
    assert time.process_time() - started < 5
    assert peak_megabytes(path) < 64


def test_millions_of_empty_items_are_refused(keep: Keep) -> None:
    path = keep(part10_file(SEQUENCE + EMPTY_ITEM * 2_000_000))
    started = time.process_time()
    with pytest.raises(TooLarge, match="more elements than any radiograph"):
        read_header(path)
    assert time.process_time() - started < 10


def test_a_header_longer_than_any_is_refused(keep: Keep) -> None:
    blob = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 200 * 2**10) + b"\1" * (200 * 2**10)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(blob)) + blob
    path = keep(part10_file(SEQUENCE + item * 100))
    with pytest.raises(TooLarge, match="header is longer than 16 MB"):
        read_header(path)
    assert peak_megabytes(path) < 64


def test_a_length_that_lies_costs_no_memory(keep: Keep) -> None:
    path = keep(part10_file(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0) + b"\1" * 100))
    assert peak_megabytes(path) < 4
    with pytest.raises((NotAnImage, Unreadable)):
        read_header(path)


def test_a_deflated_bomb_stops_at_its_limit(
    keep: Keep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(part10, "INFLATED_BYTES", 32 * 2**20)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(bomb.compress(b"\0" * 2**20) for _ in range(64)) + bomb.flush()
    path = keep(part10_file(data, syntax=b"1.2.840.10008.1.2.1.99"))
    assert path.stat().st_size < 100_000
    with pytest.raises(TooLarge, match="inflates to more than 32 MB"):
        read_header(path)
    assert peak_megabytes(path) < 24


def test_a_deflated_bomb_is_refused_by_the_real_limit(keep: Keep) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = b"\0" * (8 * 2**20)
    path = keep(
        part10_file(
            b"".join(bomb.compress(block) for _ in range(32)) + bomb.flush(), syntax=b"1.2.840.10008.1.2.1.99"
        )
    )
    with pytest.raises(TooLarge, match="inflates to more than 192 MB"):
        read_header(path)


def test_damaged_deflate_is_refused(keep: Keep) -> None:
    with pytest.raises(Unreadable, match="cannot be inflated"):
        read_header(keep(part10_file(b"\xff" * 400, syntax=b"1.2.840.10008.1.2.1.99")))


def test_a_file_cut_off_before_its_pixels_says_so(keep: Keep, ramp: Ramp) -> None:
    whole = wrap(ramp)
    with pytest.raises(Unreadable, match="ends before its pixels"):
        read_header(keep(whole[: whole.index(b"MONOCHROME2") + 40]))


def test_no_cut_and_no_flipped_byte_brings_anything_but_a_sentence(keep: Keep) -> None:
    whole = write_phantom(rows=160, columns=140)
    rng = random.Random(5)
    for trial in range(400):
        data = bytearray(whole[: rng.randrange(1, 3000)] if trial % 2 else whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(len(data), 2200))] = rng.randrange(256)
        path = keep(bytes(data))
        try:
            header = read_header(path)
        except Problem as problem:
            assert problem.detail.endswith(".")
            assert problem.status in (413, 422)
        else:
            assert header.rows
        sop_reference(path)
        path.unlink()


@pytest.mark.parametrize(("rows", "columns"), [(0, 80), (96, 0)])
def test_an_image_of_no_extent_is_refused(rows: int, columns: int, keep: Keep, ramp: Ramp) -> None:
    with pytest.raises(Unreadable, match="rows and columns"):
        read_header(keep(wrap(ramp, tags={"Rows": rows, "Columns": columns})))


def test_the_limits_leave_room_for_every_real_radiograph() -> None:
    assert header_module.LARGEST_PIXELS > 6000 * 4800
    assert header_module.LARGEST_SIDE > 12_000


def test_a_uid_that_is_no_uid_is_refused(keep: Keep, ramp: Ramp) -> None:
    with pytest.raises(Unreadable, match="is no UID"):
        read_header(keep(wrap(ramp, study_instance_uid="1.2/../3")))


@pytest.mark.parametrize("uid", [".", "..", "-1.2"])
def test_a_uid_that_no_address_can_hold_is_refused(uid: str, keep: Keep, ramp: Ramp) -> None:
    with pytest.raises(Unreadable, match="is no UID"):
        read_header(keep(wrap(ramp, study_instance_uid=uid)))


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID", "AccessionNumber"])
def test_an_identifier_of_thousands_of_letters_is_refused_by_name(
    keyword: str, keep: Keep, ramp: Ramp
) -> None:
    with pytest.raises(Unreadable, match=f"The {keyword} in the DICOM header has more than 256"):
        read_header(keep(wrap(ramp, tags={keyword: "x7" * 2000})))
    assert read_header(keep(wrap(ramp, tags={keyword: "x" * 256}))).rows


@pytest.mark.parametrize(
    "damage", [b"\x02\0\x10\0U\xec", b"\x02\0\x10\0??", b"\x02\0\x10\0SQ", b"\x02\0\x10\0UI\x14\0001.2\0"]
)
def test_a_damaged_transfer_syntax_brings_nothing_but_a_sentence(damage: bytes, keep: Keep) -> None:
    data = write_phantom(rows=64, columns=64)
    place = data.index(b"\x02\0\x10\0UI")
    path = keep(data[:place] + damage + data[place + len(damage) :])
    try:
        header = read_header(path)
    except Problem as problem:
        assert problem.status == 422
    else:
        assert "\0" not in (header.transfer_syntax_uid or "")
    sop_reference(path)
