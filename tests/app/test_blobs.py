"""Stored bytes: durable, named by their hash, never torn."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from app.blobs import Blobs
from app.errors import NotFound, TooLarge, Unavailable

_DATA = b"a radiograph" * 1000
_SHA256 = hashlib.sha256(_DATA).hexdigest()


def _staged_files(folder: Path) -> list[Path]:
    return list((folder / "incoming").iterdir())


def test_kept_bytes_can_be_read_and_leave_no_staged_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert blobs.put(_DATA) == _SHA256
    assert blobs.read(_SHA256) == _DATA
    assert _staged_files(tmp_path) == []


def test_the_same_bytes_again_are_the_same_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(_DATA)
    inode = blobs.path(_SHA256).stat().st_ino
    blobs.put(_DATA)
    assert blobs.path(_SHA256).stat().st_ino == inode


def test_bytes_that_are_not_kept_leave_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.stage(max_bytes=len(_DATA)) as staged:
        staged.write(_DATA)
    assert not blobs.has(_SHA256)
    assert _staged_files(tmp_path) == []


def test_everything_is_on_the_disk_before_keep_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path)
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with blobs.stage(max_bytes=len(_DATA)) as staged:
        staged.write(_DATA)
        blobs.keep(staged)
    assert synced == [str(staged.path), str(blobs.path(_SHA256).parent)]


def test_a_file_that_is_synced_meanwhile_is_on_the_disk_before_keep_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path)
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def slow(descriptor: int) -> None:
        time.sleep(0.2)
        fsync(descriptor)
        done.append("synced")

    def watched(source: Path, target: Path) -> None:
        done.append("linked")
        link(source, target)

    with blobs.stage(max_bytes=len(_DATA)) as staged:
        staged.write(_DATA)
        monkeypatch.setattr(os, "fsync", slow)
        monkeypatch.setattr(os, "link", watched)
        staged.sync_meanwhile()
        staged.sync_meanwhile()
        assert blobs.keep(staged) == _SHA256
    assert done == ["synced", "linked", "synced"]


def test_a_full_disk_met_meanwhile_is_said_by_keep_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with blobs.stage(max_bytes=len(_DATA)) as staged:
        staged.write(_DATA)
        monkeypatch.setattr(os, "fsync", full)
        staged.sync_meanwhile()
        with pytest.raises(Unavailable, match="disk is full"):
            blobs.keep(staged)
    assert not blobs.has(_SHA256)
    assert _staged_files(tmp_path) == []


def test_a_file_past_the_limit_is_refused(tmp_path: Path) -> None:
    with Blobs(tmp_path).stage(max_bytes=10) as staged, pytest.raises(TooLarge, match="at most 10 bytes"):
        staged.write(b"x" * 11)


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    with Blobs(tmp_path).stage(max_bytes=100) as staged:
        staged._file.close()
        staged._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  (staged closes it)
        with pytest.raises(Unavailable, match="disk is full") as refusal:
            staged.write(b"x")
    assert isinstance(refusal.value.__cause__, OSError)
    assert refusal.value.__cause__.errno == errno.ENOSPC


def test_a_damaged_file_is_replaced_by_the_whole_one(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(_DATA)
    blobs.path(_SHA256).write_bytes(_DATA[:10])
    blobs.put(_DATA)
    assert blobs.read(_SHA256) == _DATA


def test_what_a_crash_left_is_swept_after_a_day(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    old, new = (tmp_path / "incoming" / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"x")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    assert blobs.sweep() == 1
    assert _staged_files(tmp_path) == [new]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64])
def test_an_unknown_or_impossible_name_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        Blobs(tmp_path).read(name)
