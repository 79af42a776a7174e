"""The folder of one service: held by one process at a time, telling commands where the service is."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from app.embedded.home import LARGEST_LOG_BYTES, Home, held
from app.embedded.refusal import AlreadyRunning, CannotStart, from_os_error

_IN_MEMORY = pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm, as Linux has it")


def test_a_second_process_is_refused_and_named_the_first(folder: Path) -> None:
    first = Home(folder / "var")
    first.open()
    with pytest.raises(AlreadyRunning, match=rf"running already on .* \(process {os.getpid()}\)"):
        Home(folder / "var").open()
    first.close()
    again = Home(folder / "var")
    again.open()
    again.close()


def test_commands_see_whether_somebody_holds_it(folder: Path) -> None:
    home = Home(folder / "var")
    assert not held(home.folder)
    home.open()
    assert held(home.folder)
    home.close()
    assert not held(home.folder)


def test_addresses_are_for_this_user_alone_and_go_with_the_service(folder: Path) -> None:
    home = Home(folder / "var")
    home.open()
    home.publish(database_url="postgresql://x", broker_url="redis://y")
    assert json.loads(home.service_file.read_text())["broker_url"] == "redis://y"
    assert home.service_file.stat().st_mode & 0o777 == 0o600
    home.close()
    assert not home.service_file.exists()


def test_a_leftover_of_a_killed_service_is_removed_at_the_next_start(folder: Path) -> None:
    home = Home(folder / "var")
    home.open()
    home.publish(database_url="postgresql://gone")
    home._lock.close()  # type: ignore[union-attr]  # what the kernel does when the process is killed
    later = Home(folder / "var")
    later.open()
    assert not later.service_file.exists()
    later.close()


@_IN_MEMORY
def test_what_is_counted_lies_in_memory_begins_empty_and_goes_with_the_service(folder: Path) -> None:
    killed, home = Home(folder / "var"), Home(folder / "var")
    killed.open()
    counts = killed.folder_in_memory("metrics")
    assert counts.is_relative_to("/dev/shm")
    assert counts.stat().st_mode & 0o777 == 0o700
    (counts / "counter_1.db").write_bytes(b"of one that was killed")
    assert killed._lock is not None
    killed._lock.close()
    home.open()
    assert home.folder_in_memory("metrics") == counts
    assert list(counts.iterdir()) == []
    home.close()
    assert not counts.exists()


@_IN_MEMORY
def test_where_somebody_has_taken_the_place_in_memory_counts_lie_in_the_home(folder: Path) -> None:
    home = Home(folder / "var")
    home.open()
    place = home.folder_in_memory("metrics")
    shutil.rmtree(place)
    place.write_text("somebody's")
    try:
        assert home.folder_in_memory("metrics") == home.run / "metrics"
        assert place.read_text() == "somebody's"
    finally:
        place.unlink(missing_ok=True)
        home.close()


def test_a_file_in_place_of_the_home_is_refused(folder: Path) -> None:
    (folder / "var").write_text("not a folder")
    with pytest.raises(CannotStart, match="is a file where a folder should be"):
        Home(folder / "var").open()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "cannot be used: Input/output error"),
    ],
)
def test_what_the_system_says_becomes_a_sentence_with_what_to_do(
    number: int, said: str, folder: Path
) -> None:
    told = str(from_os_error(OSError(number, os.strerror(number), str(folder / "x")), folder))
    assert said in told
    assert told.endswith(".")
    assert "\n" not in told


def test_a_log_that_grew_large_is_cut_and_its_program_goes_on_writing(folder: Path) -> None:
    home = Home(folder / "var")
    home.open()
    with home.log("web").open("ab", buffering=0) as log:
        log.write(b"x" * (LARGEST_LOG_BYTES + 1))
        home.trim_logs()
        log.write(b"after\n")
    assert home.log("web").read_bytes() == b"after\n"
    assert (home.logs / "web.log.1").stat().st_size == LARGEST_LOG_BYTES + 1
    home.close()
