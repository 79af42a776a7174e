"""Stored bytes that nobody names are removed, and never those that somebody is about to name."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.blobs import Blobs
from app.commands import backup_contents, blob_removal, deletion_rows
from app.commands.blob_removal import list_orphans, remove_due
from app.records import BlobRemoval
from app.records.engine import transaction
from app.settings import settings
from tests.builders import a_dicom, a_png, admit, an_admitted_study

DAYS = 2 * 24 * 3600.0


def stored_ago(blobs: Blobs, data: bytes, *, seconds: float) -> str:
    sha256 = blobs.put(data)
    moment = time.time() - seconds
    os.utime(blobs.path(sha256), (moment, moment))
    return sha256


def listed() -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(BlobRemoval)) or 0


def test_bytes_that_nobody_names_for_a_day_go_and_others_stay(database: str, blobs: Blobs) -> None:
    named = an_admitted_study(blobs).sha256
    os.utime(blobs.path(named), (1, 1))
    old = stored_ago(blobs, b"of a killed upload", seconds=DAYS)
    young = stored_ago(blobs, b"of an upload under way", seconds=3600)
    assert list_orphans(blobs) == 1
    assert remove_due(blobs).removed == 1
    assert not blobs.has(old)
    assert blobs.has(named)
    assert blobs.has(young)
    assert listed() == 0


def test_the_same_bytes_sent_again_while_they_are_removed_are_never_lost(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each moment of a removal a sender keeps the same bytes and commits only after it."""
    data = a_png()
    moments = ("before the list", "after the list", "before the renaming", "after the renaming", "at the end")
    for moment in moments:
        sha256 = stored_ago(blobs, data + moment.encode(), seconds=DAYS)
        assert list_orphans(blobs) == 1
        kept: list[str] = []

        def keep(now: str, moment: str = moment, kept: list[str] = kept) -> None:
            if now == moment and not kept:
                kept.append(blobs.put(data + moment.encode()))

        _at_each_moment(monkeypatch, keep)
        keep("before the list")
        remove_due(blobs)
        monkeypatch.undo()
        keep("at the end")
        assert kept == [sha256]
        assert blobs.read(sha256) == data + moment.encode(), moment
        with transaction() as session:
            session.query(BlobRemoval).delete()


def _at_each_moment(monkeypatch: pytest.MonkeyPatch, keep: object) -> None:
    asks, renames = backup_contents.named_among, Path.rename
    asked: list[int] = []

    def named(session: object, digests: object) -> set[str]:
        asked.append(1)
        keep("after the list" if len(asked) == 1 else "after the renaming")  # type: ignore[operator]
        return asks(session, digests)  # type: ignore[arg-type]

    def rename(self: Path, target: Path) -> Path:
        keep("before the renaming")  # type: ignore[operator]
        return renames(self, target)

    monkeypatch.setattr(blob_removal, "named_among", named)
    monkeypatch.setattr(Path, "rename", rename)


def test_an_image_sent_again_between_its_bytes_and_its_commit_is_there_afterwards(
    database: str, blobs: Blobs
) -> None:
    data = a_dicom()
    sha256 = stored_ago(blobs, data, seconds=DAYS)
    assert list_orphans(blobs) == 1
    with transaction() as session:
        admitted = admit(session, blobs, data)
        remove_due(blobs)  # the sender has kept the bytes and not committed
    assert admitted.created
    assert blobs.read(sha256) == data


def test_what_a_deletion_listed_is_removed_once_nobody_can_be_about_to_name_it(
    database: str, blobs: Blobs
) -> None:
    young = blobs.put(b"stored this minute")
    with transaction() as session:
        deletion_rows.remove(session, [young])
    assert remove_due(blobs).waiting == 1
    assert blobs.has(young)
    os.utime(blobs.path(young), (1, 1))
    assert remove_due(blobs).removed == 1
    assert not blobs.has(young)


def test_what_a_killed_removal_had_set_aside_has_its_name_again(database: str, blobs: Blobs) -> None:
    named = an_admitted_study(blobs).sha256
    os.utime(blobs.path(named), (1, 1))
    assert blobs.set_aside(named, untouched_since=time.time()) is True
    assert not blobs.has(named)
    with transaction() as session:
        deletion_rows.remove(session, ["a" * 64])
    remove_due(Blobs(settings().blob_folder))
    assert blobs.has(named)


def test_bytes_that_another_user_stored_are_taken_again(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = stored_ago(blobs, b"of another user", seconds=DAYS)

    def refuse(path: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert blobs.put(b"of another user") == sha256
    assert blobs.set_aside(sha256, untouched_since=time.time() - 60) is False
    assert blobs.read(sha256) == b"of another user"
