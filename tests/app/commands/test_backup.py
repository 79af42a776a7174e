"""A backup made while somebody writes comes back row by row and byte by byte, or is refused in a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, func, inspect, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.blobs import Blobs
from app.cli.backup import programs_folder
from app.commands import audit_seals, backup_seal, deletion, deletion_again, registry
from app.commands.backup import BackedUp, back_up
from app.commands.backup_contents import BLOBS, NO_BLOBS
from app.commands.backup_folder import HEADER, BackupFolder
from app.commands.backup_programs import Programs
from app.commands.backup_refusal import BackupRefused, Damaged, refuse_half_restored
from app.commands.backup_restore import Restored, check, chosen, restore
from app.commands.backup_seal import CHUNK, Sealed
from app.commands.deletion_patient import PatientNamed
from app.domain.roles import SYSTEM
from app.embedded.postgres import EmbeddedPostgres
from app.queries import audit_chain, worklist
from app.queries.backups import Backups, backups
from app.records import AuditEvent, Base
from app.records.engine import engine, forget_engine, transaction
from app.settings import settings
from migrations import downgrade, newest_revision, revisions, upgrade
from tests.builders import a_screened_study, a_signed_study, an_admitted_study
from tests.rows import Contents, contents, fill

_PASSPHRASE = "correct horse battery"
_FORGET = "UPDATE images SET sha256 = repeat('c', 64) WHERE sha256 = :gone"
_numbers = count(1)


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guess costs would be minutes of these tests."""
    monkeypatch.setitem(backup_seal._SCRYPT, "n", 2**10)


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a second, empty database."""
    name = f"restored_{next(_numbers)}"
    _administer(postgres, f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres.url_of(name)
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def story(database: str, blobs: Blobs) -> str:
    """A site with people, studies, readings, reviews, a bundle whose bytes are there, and audit rows."""
    bundle = blobs.put(b"a bundle" * 300_000)
    with transaction() as session:
        registry.register(session, sha256=bundle, manifest={"name": "n", "version": "1"}, by=SYSTEM)
    a_signed_study(blobs, tags={"PatientName": "Signed^One"})
    a_screened_study(blobs)
    an_admitted_study(blobs)
    with transaction() as session:
        newest = session.scalars(select(func.max(AuditEvent.id))).one()
        assert audit_seals.seal_next(session, up_to=newest) is not None
    return database


def test_everything_comes_back_row_by_row_while_a_writer_goes_on(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    with engine().begin() as connection:
        fill(connection)  # so that no table is empty
    before = _contents(story)
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            an_admitted_study(blobs)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = _back_up(tmp_path / "b", programs=_ProgramsThatAreOvertaken(blobs))
    finally:
        ended.set()
        writer.join()
    after = _contents(story)
    _restore(tmp_path / "b", empty, tmp_path / "blobs")
    restored = _contents(empty)

    [own] = [key for key, row in restored["audit_events"].items() if row["action"] == "site.restored"]
    del restored["audit_events"][own]
    for contents_of in (restored, after):
        contents_of["sessions"] = _but(contents_of["sessions"], "ended_at")
    assert restored.keys() == before.keys()
    for table, rows in restored.items():
        assert rows
        assert before[table].keys() <= rows.keys()
        assert all(row == after[table][key] for key, row in rows.items()), table
    assert all(row["ended_at"] for row in _contents(empty)["sessions"].values())
    assert len(restored["studies"]) < len(after["studies"]), "nobody wrote meanwhile"
    assert made.rows == 1 + sum(len(rows) for rows in restored.values())  # and the schema's revision


def test_worklist_reviews_images_and_bundles_are_what_they_were(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    made = _back_up(tmp_path / "b", passphrase=_PASSPHRASE)
    assert all("bbbbbbbbbbbb" in said for said in made.damaged), "the builders' own bundle has no bytes"
    before, listed = _contents(story), _worklist(story)
    restored = _restore(tmp_path / "b", empty, tmp_path / "blobs", passphrase=_PASSPHRASE)
    after = _contents(empty)
    for table in before:
        if table != "audit_events":
            assert after[table] == before[table], table
    assert len(after["reviews"]) == 1
    for key, row in before["audit_events"].items():
        if row["action"] not in ("site.backed-up", "site.backup-whole"):
            assert after["audit_events"][key] == row
    there = Blobs(tmp_path / "blobs")
    named = {row["sha256"] for table in ("images", "bundles") for row in before[table].values()} - {"b" * 64}
    assert len(named) == 4
    for sha256 in named:
        assert hashlib.sha256(there.read(sha256)).hexdigest() == sha256
        assert there.read(sha256) == blobs.read(sha256)
    assert restored.blobs >= len(named)
    assert not (tmp_path / "blobs" / "restoring").exists()
    assert len(listed) == 2
    assert _worklist(empty) == listed
    with Session(_engine(empty)) as session:
        verified = audit_chain.verify(session)
    assert (verified.findings, verified.seals) == ([], 1)


def test_a_second_backup_copies_only_what_is_new_and_the_oldest_goes_with_what_only_it_named(
    story: str, blobs: Blobs, tmp_path: Path
) -> None:
    first = _back_up(tmp_path / "b", keep=2)
    assert first.copied == first.blobs
    gone = _images(story)[0]
    with engine().begin() as connection:
        connection.execute(
            text("UPDATE images SET sha256 = repeat('c', 64) WHERE sha256 = :gone"), {"gone": gone}
        )
    an_admitted_study(blobs)
    second = _back_up(tmp_path / "b", keep=2)
    assert second.copied == 1
    folder = BackupFolder.at(tmp_path / "b", passphrase=None)
    assert folder.names() == [first.name, second.name]
    assert (tmp_path / "b" / "blobs" / gone[:2] / gone).exists()
    third = _back_up(tmp_path / "b", keep=2)
    assert folder.names() == [second.name, third.name]
    assert not (tmp_path / "b" / "blobs" / gone[:2] / gone).exists()
    check(folder, folder.manifest(second.name), report=_quiet)


def test_what_was_deleted_meanwhile_breaks_nothing_and_what_the_site_lost_is_told(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    deleted, lost, rotten = _images(story)
    blobs.path(lost).unlink()
    blobs.path(rotten).write_bytes(b"rotten")

    class Deleting(Programs):
        """Somebody deletes an image, row and bytes, after the snapshot."""

        def dump(self, *, snapshot: str) -> Iterator[bytes]:
            with engine().begin() as connection:
                gone = {"gone": deleted}
                connection.execute(
                    text("UPDATE images SET sha256 = repeat('d', 64) WHERE sha256 = :gone"), gone
                )
            blobs.path(deleted).unlink()
            yield from super().dump(snapshot=snapshot)

    made = _back_up(tmp_path / "b", programs=Deleting(_programs(), url=story))
    assert made.deleted_meanwhile == 1
    said = " ".join(made.damaged)
    assert f"{lost[:12]} are missing" in said
    assert f"{rotten[:12]} are not those that were stored" in said
    assert deleted[:12] not in said
    restored = _restore(tmp_path / "b", empty, tmp_path / "blobs")
    assert restored.lacking >= 3


def test_a_clock_set_back_makes_no_backup_and_removes_none(story: str, tmp_path: Path) -> None:
    first = _back_up(tmp_path / "b")
    later = first.name.replace("20", "29", 1)
    (tmp_path / "b" / first.name).rename(tmp_path / "b" / later)
    with pytest.raises(BackupRefused, match="there is a later backup, 29"):
        _back_up(tmp_path / "b", keep=1)
    assert BackupFolder.at(tmp_path / "b", passphrase=None).names() == [later]


def test_a_damaged_older_backup_keeps_all_blobs_and_fails_no_newer_one(story: str, tmp_path: Path) -> None:
    _back_up(tmp_path / "b")
    damaged = _back_up(tmp_path / "b")
    gone = _images(story)[0]
    with engine().begin() as connection:
        connection.execute(text(_FORGET), {"gone": gone})
    manifest = tmp_path / "b" / damaged.name / "manifest"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    third = _back_up(tmp_path / "b", keep=2)
    folder = BackupFolder.at(tmp_path / "b", passphrase=None)
    assert folder.names() == [damaged.name, third.name]
    assert third.all_stay == (
        f"No blobs of older backups were removed: The manifest of the backup {damaged.name} is damaged."
    )
    assert (tmp_path / "b" / "blobs" / gone[:2] / gone).exists()
    assert _back_up(tmp_path / "b", keep=2).all_stay is None
    assert not (tmp_path / "b" / "blobs" / gone[:2] / gone).exists()


def test_data_that_was_taken_out_is_on_record_however_the_backup_ended(story: str, tmp_path: Path) -> None:
    def recorded() -> int:
        return sum(row["action"] == "site.backed-up" for row in _contents(story)["audit_events"].values())

    assert _killed_at("images", tmp_path / "b") == -signal.SIGKILL
    assert recorded() == 1
    assert _known().whole_seconds is None
    _back_up(tmp_path / "b")
    assert recorded() == 2
    assert _known().whole_seconds is not None


def test_stored_bytes_that_the_site_had_lost_are_on_record_with_the_backup(
    story: str, blobs: Blobs, tmp_path: Path
) -> None:
    made = _back_up(tmp_path / "b")
    assert _known().lost == len(made.damaged) == 1, "the builders' own bundle has no bytes"


def test_what_the_site_damages_later_stays_in_its_backups_and_is_told(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    first = _back_up(tmp_path / "b", keep=1, passphrase=_PASSPHRASE)
    cut, lost, unreadable = _images(story)
    stored = {sha256: blobs.read(sha256) for sha256 in (cut, lost, unreadable)}
    os.truncate(blobs.path(cut), 100)
    blobs.path(lost).unlink()
    rotten = blobs.path(unreadable)
    rotten.unlink()
    rotten.symlink_to("/proc/self/mem")  # whose first byte is EIO
    second = _back_up(tmp_path / "b", keep=1, passphrase=_PASSPHRASE)
    said = " ".join(second.damaged)
    assert f"{cut[:12]} are not those that were stored." in said
    assert f"{lost[:12]} are missing" in said
    assert f"{unreadable[:12]} cannot be read: Input/output error." in said
    assert (second.lacking, second.deleted_meanwhile) == (first.lacking, 0)
    assert second.blobs == first.blobs
    _restore(tmp_path / "b", empty, tmp_path / "blobs", passphrase=_PASSPHRASE)
    assert {sha256: Blobs(tmp_path / "blobs").read(sha256) for sha256 in stored} == stored


@pytest.mark.parametrize("passphrase", [None, _PASSPHRASE])
def test_a_rotten_blob_costs_itself_alone_and_is_copied_anew(
    passphrase: str | None, story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    made = _back_up(tmp_path / "b", passphrase=passphrase)
    folder = BackupFolder.at(tmp_path / "b", passphrase=passphrase)
    rotten, unreadable, sound = _images(story)
    for sha256 in (rotten, unreadable):
        path = folder._blob(sha256)
        whole = path.read_bytes()
        path.write_bytes(bytes([*whole[:-20], whole[-20] ^ 1, *whole[-19:]]))
    _back_up(tmp_path / "b", passphrase=passphrase)  # which does not look
    path.unlink()
    path.symlink_to("/proc/self/mem")  # whose first byte is EIO
    with pytest.raises(Damaged, match=r"is damaged: The blob .* The blob .* It cannot be read: Input/output"):
        _check(tmp_path / "b", passphrase=passphrase)
    restored = _restore(
        tmp_path / "b", empty, tmp_path / "blobs", passphrase=passphrase, without_damaged=True
    )
    assert len(restored.damaged) == 2
    there = Blobs(tmp_path / "blobs")
    assert [there.has(sha256) for sha256 in (rotten, unreadable, sound)] == [False, False, True]
    assert restored.blobs == made.blobs - 2
    assert _back_up(tmp_path / "b", passphrase=passphrase, verify=True).copied == 2
    _check(tmp_path / "b", passphrase=passphrase)


@pytest.mark.parametrize("passphrase", [None, _PASSPHRASE])
def test_a_damaged_backup_is_refused_and_leaves_the_database_empty(
    passphrase: str | None, story: str, empty: str, tmp_path: Path
) -> None:
    made = _back_up(tmp_path / "b", passphrase=passphrase)
    one = tmp_path / "b" / made.name
    blob = max((tmp_path / "b" / "blobs").glob("*/*"), key=lambda path: path.stat().st_size)
    assert blob.stat().st_size > 2 * CHUNK
    for damaged in (one / "database", one / "manifest", one / "blobs", blob):
        whole = damaged.read_bytes()
        for wrong in (
            bytes([*whole[:-20], whole[-20] ^ 1, *whole[-19:]]),
            whole[: 40 + CHUNK + 16],  # where a sealed chunk ends
            whole[:-1],
            whole + b"0",
            None,
        ):
            if wrong is None:
                damaged.unlink()
            elif wrong != whole:
                damaged.write_bytes(wrong)
            else:
                continue
            with pytest.raises(Damaged, match=r"^The .*\.$"):
                _check(tmp_path / "b", passphrase=passphrase)
            if wrong is None or wrong == whole[:-1]:
                with pytest.raises(Damaged, match=r"^The .*\.$"):
                    _restore(tmp_path / "b", empty, tmp_path / "blobs", passphrase=passphrase)
                assert _tables(empty) == []
            damaged.write_bytes(whole)
    _restore(tmp_path / "b", empty, tmp_path / "blobs", passphrase=passphrase)  # goes on where it was refused


def test_an_encrypted_backup_opens_to_its_passphrase_alone_and_tells_nothing(
    story: str, blobs: Blobs, tmp_path: Path
) -> None:
    made = _back_up(tmp_path / "b", passphrase=_PASSPHRASE)
    for passphrase, said in (
        ("another passphrase", "not the one"),
        (None, "is encrypted: set FIRSTREAD_BACKUP"),
    ):
        with pytest.raises(BackupRefused, match=said):
            _check(tmp_path / "b", passphrase=passphrase)
        with pytest.raises(BackupRefused, match=said):
            _back_up(tmp_path / "b", passphrase=passphrase)
    header = tmp_path / "b" / "firstread-backup.json"
    whole = header.read_text()
    lock = json.loads(whole)["lock"]
    header.write_text(whole.replace(lock["key"][:4], f"{int(lock['key'][:4], 16) ^ 1:04x}"))
    with pytest.raises(BackupRefused, match="not the one"):
        _check(tmp_path / "b", passphrase=_PASSPHRASE)
    header.write_text(whole)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file())
    names = " ".join(str(path) for path in (tmp_path / "b").rglob("*"))
    assert b"Signed^One" not in everything
    assert b"studies" not in everything
    for sha256 in _images(story):
        assert sha256 not in names
        assert blobs.read(sha256)[-200:] not in everything
    one, another = sorted((tmp_path / "b" / "blobs").glob("*/*"))[:2]
    swapped = one.read_bytes()
    one.write_bytes(another.read_bytes())
    another.write_bytes(swapped)
    with pytest.raises(Damaged, match="changed or cut"):
        _check(tmp_path / "b", passphrase=_PASSPHRASE)
    assert made.name in names
    with pytest.raises(BackupRefused, match="at least 12 characters"):
        _back_up(tmp_path / "c", passphrase="short")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_sealed_bytes_come_back_and_no_byte_fewer(size: int, tmp_path: Path) -> None:
    seal, said = Sealed(b"k" * 32), os.urandom(size)
    path = tmp_path / "sealed"
    sealed = b"".join(seal.close(iter([said[:7], said[7:]]), purpose="p"))
    assert len(sealed) == seal.size(size)

    def opened(data: bytes, purpose: str = "p") -> bytes:
        path.write_bytes(data)
        with path.open("rb") as stream:
            return b"".join(seal.open(stream, purpose=purpose))

    assert opened(sealed) == said
    with pytest.raises(Damaged):
        opened(sealed, purpose="another")
    for end in {0, 7, 39, 40, 55, len(sealed) - 1, 40 + CHUNK + 16} - {len(sealed)}:
        with pytest.raises(Damaged):
            opened(sealed[: min(end, len(sealed) - 1)])


@pytest.mark.parametrize("moment", ["database 0", "database 1", "images", "renamed"])
def test_a_backup_that_is_killed_leaves_the_former_one_whole(
    moment: str, story: str, blobs: Blobs, tmp_path: Path
) -> None:
    former = _back_up(tmp_path / "b")
    an_admitted_study(blobs)
    assert _killed_at(moment, tmp_path / "b") == -signal.SIGKILL
    folder = BackupFolder.at(tmp_path / "b", passphrase=None)
    assert folder.names() == [former.name]
    check(folder, folder.manifest(former.name), report=_quiet)
    following = _back_up(tmp_path / "b")
    assert following.copied <= 1
    assert folder.names() == [former.name, following.name]
    assert not (tmp_path / "b" / "unfinished").exists()


def test_a_half_written_backup_is_none(story: str, tmp_path: Path) -> None:
    class Cut(Programs):
        def dump(self, *, snapshot: str) -> Iterator[bytes]:
            yield next(iter(super().dump(snapshot=snapshot)))[:100]
            raise BackupRefused("The database could not be copied: the connection was lost.")

    with pytest.raises(BackupRefused, match="connection was lost"):
        _back_up(tmp_path / "b", programs=Cut(_programs(), url=story))
    with pytest.raises(BackupRefused, match="There is no whole backup in"):
        _check(tmp_path / "b")
    with pytest.raises(BackupRefused, match="is no backup of FirstRead"):
        _check(tmp_path)
    with pytest.raises(BackupRefused, match="is not empty and no backup"):
        _back_up(tmp_path)


def test_only_a_folder_that_has_backups_gets_one_more_unless_a_new_one_is_asked_for(
    story: str, tmp_path: Path
) -> None:
    (tmp_path / "mounted").mkdir()
    for place in ("mounted", "nowhere"):  # a disk that is not there
        with pytest.raises(BackupRefused, match=r"Is its disk mounted\?"):
            BackupFolder.for_one_more(tmp_path / place, passphrase=None)
        assert not list((tmp_path / "mounted").iterdir())
        assert not (tmp_path / "nowhere").exists()
    _back_up(tmp_path / "mounted")
    assert len(BackupFolder.for_one_more(tmp_path / "mounted", passphrase=None).names()) == 1
    with pytest.raises(BackupRefused, match="leave out --new"):
        BackupFolder.new(tmp_path / "mounted", passphrase=None)


def test_two_backups_into_one_folder_do_not_meet(story: str, tmp_path: Path) -> None:
    _back_up(tmp_path / "b")
    with (
        BackupFolder.at(tmp_path / "b", passphrase=None).held(),
        pytest.raises(BackupRefused, match="Another"),
    ):
        _back_up(tmp_path / "b")


def test_a_place_with_data_is_refused_and_stays_as_it_is(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    _back_up(tmp_path / "b")
    before = _contents(story)
    with pytest.raises(BackupRefused, match="The database is not empty"):
        _restore(tmp_path / "b", story, tmp_path / "blobs")
    assert _contents(story) == before
    with pytest.raises(BackupRefused, match="holds images already"):
        _restore(tmp_path / "b", empty, settings().blob_folder)
    assert _tables(empty) == []


def test_a_restore_that_was_interrupted_serves_nobody_and_goes_on(
    story: str, empty: str, tmp_path: Path
) -> None:
    with engine().begin() as connection:
        fill(connection)
    _back_up(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        _restore(tmp_path / "b", empty, tmp_path / "blobs", migrate=_interrupted)
    assert "studies" in _tables(empty)
    with pytest.raises(BackupRefused, match=r"has not ended, .* run `firstread restore` of it to its end"):
        refuse_half_restored(tmp_path / "blobs")
    with _engine(empty).begin() as connection:
        connection.execute(text("UPDATE sessions SET ended_at = NULL"))  # as if it ended a moment earlier
    _restore(tmp_path / "b", empty, tmp_path / "blobs")
    refuse_half_restored(tmp_path / "blobs")
    after = _contents(empty)
    assert after["studies"] == _contents(story)["studies"]
    assert after["sessions"]
    assert all(row["ended_at"] for row in after["sessions"].values())


def test_a_restore_serves_nobody_before_it_has_deleted_again_and_goes_on_to_do_it(
    story: str, blobs: Blobs, empty: str, tmp_path: Path
) -> None:
    gone = an_admitted_study(blobs, patient_id="P-GONE")
    _back_up(tmp_path / "b")
    with transaction() as session:
        kept = _kept_proof(session, blobs, gone.study_id)

    def delete_again(*, and_then: Callable[[], None] = lambda: None) -> None:
        with pytest.raises(BackupRefused):  # nothing of the service starts meanwhile
            refuse_half_restored(tmp_path / "blobs")
        forget_engine()
        before, settings().database_url = settings().database_url, empty
        try:
            done = deletion_again.again([kept], Blobs(tmp_path / "blobs"), by=SYSTEM, held_too=True)
            assert done.refused == ()
            and_then()
            deletion_again.remove_at_once(Blobs(tmp_path / "blobs"))
        finally:
            forget_engine()
            settings().database_url = before

    with pytest.raises(KeyboardInterrupt):
        _restore(
            tmp_path / "b",
            empty,
            tmp_path / "blobs",
            delete_again=lambda: delete_again(and_then=_interrupted),
        )
    assert Blobs(tmp_path / "blobs").has(gone.sha256)
    with pytest.raises(BackupRefused, match=r"the same file with --without-deleted"):
        _restore(tmp_path / "b", empty, tmp_path / "blobs")
    with pytest.raises(BackupRefused, match=r"its rows are not those of the backup"):
        _restore(tmp_path / "b", story, tmp_path / "blobs", delete_again=delete_again)
    _restore(tmp_path / "b", empty, tmp_path / "blobs", delete_again=delete_again)
    refuse_half_restored(tmp_path / "blobs")
    after = _contents(empty)
    assert "P-GONE" not in {row["patient_id"] for row in after["studies"].values()}
    assert len(after["studies"]) == len(_contents(story)["studies"])
    assert not Blobs(tmp_path / "blobs").has(gone.sha256)
    assert not after["blob_removals"]
    assert "restore_deletes_again" not in {row["name"] for row in after["site_choices"].values()}


def test_what_is_no_interrupted_restore_is_refused_beside_its_note(
    story: str, empty: str, tmp_path: Path
) -> None:
    _back_up(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        _restore(tmp_path / "b", empty, tmp_path / "blobs", migrate=_interrupted)
    an_admitted_study(Blobs(settings().blob_folder))
    before = _contents(story)
    with pytest.raises(BackupRefused, match="its rows are not those of the backup"):
        _restore(tmp_path / "b", story, tmp_path / "blobs")
    assert _contents(story) == before


def test_an_older_schema_is_migrated_up_and_a_newer_one_refused(
    postgres: EmbeddedPostgres, database: str, empty: str, tmp_path: Path
) -> None:
    downgrade(database, "0011")
    with engine().begin() as connection:
        fill(connection)
    before = _contents(database)
    _back_up(tmp_path / "b")
    _restore(tmp_path / "b", empty, tmp_path / "blobs")
    after = _contents(empty)
    assert after["reviews"].keys() == before["reviews"].keys()
    assert "marks" in next(iter(after["reviews"].values()))
    known = revisions()
    with pytest.raises(BackupRefused, match=r"newer version of FirstRead \(.*schema 0011\)"):
        chosen(tmp_path / "b", passphrase=None, known=known[: known.index("0011")])
    upgrade(database)
    with pytest.raises(BackupRefused, match="migrated by a newer version"):
        _back_up(tmp_path / "b", known=[one for one in known if one != newest_revision()])


def test_it_is_known_of_every_hash_whether_it_names_a_blob() -> None:
    refer = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("sha256") and not column.foreign_keys
    }
    assert refer == set(BLOBS) | NO_BLOBS


class _ProgramsThatAreOvertaken(Programs):
    """Studies arrive after the snapshot and before the last byte of the dump."""

    def __init__(self, blobs: Blobs) -> None:
        super().__init__(_programs(), url=settings().resolved_database_url)
        self._blobs = blobs

    def dump(self, *, snapshot: str) -> Iterator[bytes]:
        an_admitted_study(self._blobs)
        for chunk in super().dump(snapshot=snapshot):
            yield chunk
            an_admitted_study(self._blobs)


def _programs() -> Path:
    return programs_folder(settings())


def _quiet(stage: str, done: int, of: int) -> None:
    return None


def _back_up(
    target: Path,
    *,
    passphrase: str | None = None,
    programs: Programs | None = None,
    keep: int = 14,
    verify: bool = False,
    known: list[str] | None = None,
    report: Callable[[str, int, int], None] = _quiet,
) -> BackedUp:
    there = (target / HEADER).exists()
    return back_up(
        into=(BackupFolder.for_one_more if there else BackupFolder.new)(target, passphrase=passphrase),
        engine=engine(),
        programs=programs or Programs(_programs(), url=settings().resolved_database_url),
        blobs=Blobs(settings().blob_folder),
        program="1",
        known=known or revisions(),
        by=SYSTEM,
        keep=keep,
        verify=verify,
        report=report,
    )


def _check(source: Path, *, passphrase: str | None = None) -> None:
    folder, manifest = chosen(source, passphrase=passphrase, known=revisions())
    check(folder, manifest, report=_quiet)


def _interrupted() -> None:
    raise KeyboardInterrupt


def _kept_proof(session: Session, blobs: Blobs, study: UUID) -> deletion_again.Proof:
    """The study is deleted after the backup was made."""
    patient = PatientNamed(study=str(study))
    found = deletion.look(session, blobs, patient=patient, by=SYSTEM)
    done = deletion.delete_patient(
        session, blobs, patient=patient, reason="Request 17", seen=found.seen, by=SYSTEM
    )
    return deletion_again.proof_in(json.dumps(done.proof))


def _restore(
    source: Path,
    url: str,
    blob_folder: Path,
    *,
    passphrase: str | None = None,
    migrate: Callable[[], None] | None = None,
    without_damaged: bool = False,
    delete_again: Callable[[], None] | None = None,
) -> Restored:
    folder, manifest = chosen(source, passphrase=passphrase, known=revisions())
    return restore(
        folder,
        manifest,
        engine=_engine(url),
        programs=Programs(_programs(), url=url),
        blob_folder=blob_folder,
        migrate=migrate or (lambda: upgrade(url)),
        by=SYSTEM,
        report=_quiet,
        without_damaged=without_damaged,
        delete_again=delete_again,
    )


def _killed_at(moment: str, target: Path) -> int:
    """How a backup in a process of its own ended that is killed with SIGKILL at that moment."""
    forget_engine()  # the child gets connections of its own
    child = os.fork()
    if child == 0:
        try:

            def report(stage: str, done: int, of: int) -> None:
                if moment in (stage, f"{stage} {done}"):
                    os.kill(os.getpid(), signal.SIGKILL)

            if moment == "renamed":
                Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
            _back_up(target, report=report)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _worklist(url: str) -> list[worklist.WorklistEntry]:
    with Session(_engine(url)) as session:
        return [replace(entry, waiting_seconds=0) for entry in worklist.page(session, to=SYSTEM).entries]


def _but(rows: dict[Any, dict[str, Any]], column: str) -> dict[Any, dict[str, Any]]:
    return {key: {name: row[name] for name in row if name != column} for key, row in rows.items()}


def _images(url: str) -> list[str]:
    return sorted(row["sha256"] for row in _contents(url)["images"].values())


def _known() -> Backups:
    with transaction() as session:
        return backups(session)


def _contents(url: str) -> Contents:
    with _engine(url).connect() as connection:
        return contents(connection)


def _tables(url: str) -> list[str]:
    return inspect(_engine(url)).get_table_names()


def _engine(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    with create_engine(
        server.url_of("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    ).connect() as connection:
        connection.execute(text(statement))
