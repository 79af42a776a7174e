"""The embedded Valkey: a bell that keeps what it holds, and starts empty rather than not at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis

from app.embedded.child import process_alive
from app.embedded.refusal import CannotStart
from app.embedded.valkey import EmbeddedValkey


def test_what_it_held_is_there_at_the_next_start(folder: Path) -> None:
    with EmbeddedValkey(folder / "valkey") as server:
        Redis(unix_socket_path=str(server.socket)).set("word", "still here")
        pid = server.pid
    assert pid is not None
    assert not process_alive(pid)
    with EmbeddedValkey(folder / "valkey") as server:
        assert Redis(unix_socket_path=str(server.socket)).get("word") == b"still here"


def test_it_starts_over_the_socket_of_one_that_was_killed(folder: Path) -> None:
    server = EmbeddedValkey(folder / "valkey")
    url = server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.start() == url
    server.stop()


def test_celery_reaches_it_by_its_url_and_nobody_by_the_network(folder: Path) -> None:
    with EmbeddedValkey(folder / "valkey") as server:
        with Connection(server.url) as connection:
            connection.ensure_connection(max_retries=1)
        assert Redis(unix_socket_path=str(server.socket)).config_get("port") == {"port": "0"}
        assert server.socket.stat().st_mode & 0o077 == 0


def test_data_it_cannot_read_is_moved_aside(folder: Path) -> None:
    with EmbeddedValkey(folder / "valkey") as server:
        Redis(unix_socket_path=str(server.socket)).set("word", "lost")
    for part in (folder / "valkey" / "appendonlydir").glob("*"):
        part.write_bytes(b"rubbish" * 100)
    with EmbeddedValkey(folder / "valkey") as server:
        assert Redis(unix_socket_path=str(server.socket)).get("word") is None
        assert server.moved_aside is not None
        assert (server.moved_aside / "appendonlydir").is_dir()


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "valkey").write_text("not a folder")
    with pytest.raises(CannotStart, match="is a file where a folder should be"):
        EmbeddedValkey(folder / "valkey").start()
