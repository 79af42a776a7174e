"""Stored bytes that nobody names are removed, and never those that somebody is about to name."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from app.blobs import Blobs, StagedFile
from app.commands import backup_contents, blob_removal, deletion_rows
from app.commands.blob_removal import list_orphans, remove_due
from app.records import BlobRemoval
from app.records.engine import single_statements, transaction
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

    touch = os.utime

    def refuse(path: Path, *times: object) -> None:
        if path == blobs.path(sha256):
            raise PermissionError
        touch(path, *times)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "utime", refuse)
    assert blobs.put(b"of another user") == sha256
    assert blobs.set_aside(sha256, untouched_since=time.time() - 60) is False
    assert blobs.read(sha256) == b"of another user"


def test_bytes_that_were_staged_long_before_they_are_kept_are_as_young_as_others(blobs: Blobs) -> None:
    """Both where nobody had them and where an old file has their name."""
    for there in (False, True):
        with blobs.stage(max_bytes=10) as staged:
            staged.write(b"new %d" % there)
            if there:
                stored_ago(blobs, b"new 1", seconds=DAYS)
            os.utime(staged.path, (1, 1))
            sha256 = blobs.keep(staged)
        assert blobs.set_aside(sha256, untouched_since=time.time() - 60) is False
        assert blobs.read(sha256) == b"new %d" % there


def test_a_removal_at_the_moment_of_a_commit_whose_files_came_long_ago_takes_nothing(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed had set the bytes aside, so the sender names a file of their own."""
    data, keep = a_png(), blobs.keep
    sha256 = stored_ago(blobs, data, seconds=DAYS)
    with transaction() as session:
        deletion_rows.remove(session, [sha256])
    assert blobs.set_aside(sha256, untouched_since=time.time() - 900)

    def keep_late(staged: StagedFile) -> str:
        os.utime(staged.path, (1, 1))
        kept = keep(staged)
        remove_due(blobs)
        return kept

    monkeypatch.setattr(blobs, "keep", keep_late)
    with transaction() as session:
        admit(session, blobs, data)
    remove_due(blobs)
    assert blobs.read(sha256) == data


def test_who_finds_an_old_file_that_another_machine_sets_aside_has_one_of_their_own(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS, where a machine may for a minute see and touch what another one has renamed."""
    sha256 = stored_ago(blobs, b"seen still", seconds=DAYS)
    looks, touches = Path.stat, os.utime
    removed: list[bool | None] = []

    def look(self: Path, **options: bool) -> os.stat_result:
        found = looks(self, **options)
        if self.name == sha256 and self.parent.name == sha256[:2] and not removed:
            removed.append(None)
            removed.append(blobs.set_aside(sha256, untouched_since=time.time() - 900))
        return found

    def touch(path: Path) -> None:
        if path.name != sha256:
            touches(path)

    monkeypatch.setattr(Path, "stat", look)
    monkeypatch.setattr(os, "utime", touch)
    blobs.put(b"seen still")
    assert removed == [None, True]
    blobs.forget(sha256)
    assert blobs.read(sha256) == b"seen still"


def test_a_file_waits_for_a_transaction_that_was_open_when_it_was_kept(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that stood still for long between its bytes and its commit."""
    with transaction() as sender:
        sender.execute(text("SELECT"))
        sha256 = blobs.put(b"kept within it")
        with transaction() as session:
            deletion_rows.remove(session, [sha256])
        monkeypatch.setattr(blob_removal, "_COMMITTED_WITHIN", 0.0)
        assert remove_due(blobs).waiting == 1
    assert remove_due(blobs).removed == 1


def test_what_has_to_wait_goes_to_the_end_of_the_list_and_a_round_has_a_bound(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_removal, "_AT_ONCE", 2)
    monkeypatch.setattr(blob_removal, "_MOST_BATCHES", 2)
    looked: list[str] = []
    aside = blobs.set_aside

    def look(sha256: str, *, untouched_since: float) -> bool | None:
        looked.append(sha256)
        return aside(sha256, untouched_since=untouched_since)

    monkeypatch.setattr(blobs, "set_aside", look)
    young = [blobs.put(b"young %d" % number) for number in range(3)]
    with transaction() as session:
        deletion_rows.remove(session, young)
    old = [stored_ago(blobs, b"old %d" % number, seconds=DAYS) for number in range(5)]
    with transaction() as session:
        deletion_rows.remove(session, old)
    assert remove_due(blobs).removed == 0
    assert sorted(looked) == sorted(young)[:2], "nothing of them may go, so the round is over"
    assert [remove_due(blobs).removed, remove_due(blobs).removed] == [3, 2]
    assert listed() == 3


def test_tens_of_thousands_of_waiting_files_are_no_hindrance(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction() as session:
        session.execute(
            text(
                "INSERT INTO blob_removals (sha256, since, orphan)"
                " SELECT encode(sha256(n::text::bytea), 'hex'), now(), false FROM generate_series(1, 70000) n"
            )
        )
        digests = session.scalars(select(BlobRemoval.sha256)).all()
        assert backup_contents.named_among(session, digests) == set()
    monkeypatch.setattr(blobs, "set_aside", lambda *_, **__: False)
    assert remove_due(blobs).waiting == 70000


def test_one_round_at_a_time_and_an_orphan_that_a_deletion_listed_stays_that(
    database: str, blobs: Blobs
) -> None:
    sha256 = stored_ago(blobs, b"listed by a deletion", seconds=DAYS)
    with transaction() as session:
        deletion_rows.remove(session, [sha256])
    list_orphans(blobs)
    with transaction() as session:
        assert session.get_one(BlobRemoval, sha256).orphan is False
    with single_statements() as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('blob removals', 0))")
        assert remove_due(blobs).removed == 0
        other.execute("SELECT pg_advisory_unlock(hashtextextended('blob removals', 0))")
    assert remove_due(blobs).removed == 1


def test_what_a_deletion_lists_anew_while_a_round_runs_stays_on_the_list(database: str, blobs: Blobs) -> None:
    sha256 = an_admitted_study(blobs).sha256
    with transaction() as session:
        deletion_rows.remove(session, [sha256])
    with transaction() as deleting:
        deletion_rows.remove(deleting, [sha256])
        remove_due(blobs)  # its row names it still
    assert listed() == 1
    assert remove_due(blobs).named == 1
