"""The embedded PostgreSQL is as large as the service and the machine need it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.sizes import MEGABYTE, connections_for, machine_memory, shared_buffers_for
from app.records.engine import OVERFLOW, POOL

GIGABYTE = 1024 * MEGABYTE


@pytest.mark.parametrize("web_processes", [1, 2, 4, 16])
def test_however_busy_all_processes_are_none_is_refused_a_connection(web_processes: int) -> None:
    listeners, workers, dicom, reserved = web_processes, 3, 1, 3
    opened = (web_processes + workers + dicom) * (POOL + OVERFLOW) + listeners
    by_hand = 4 * (POOL + OVERFLOW)
    assert connections_for(web_processes=web_processes) - reserved == opened + by_hand


@pytest.mark.parametrize(
    ("memory", "buffers"),
    [
        (0, 128 * MEGABYTE),
        (1 * GIGABYTE, 128 * MEGABYTE),
        (8 * GIGABYTE, 512 * MEGABYTE),
        (24 * GIGABYTE - 4096, 1535 * MEGABYTE),
        (512 * GIGABYTE, 2048 * MEGABYTE),
    ],
)
def test_the_cache_is_a_sixteenth_of_the_memory_within_bounds(memory: int, buffers: int) -> None:
    assert shared_buffers_for(memory) == buffers


def test_a_containers_limit_counts_where_it_is_less_than_the_machines_memory(tmp_path: Path) -> None:
    unlimited, limit, larger = (tmp_path / name for name in ("max", "limit", "larger"))
    unlimited.write_text("max\n")
    limit.write_text(f"{GIGABYTE}\n")
    larger.write_text(f"{2**62}\n")
    whole = machine_memory(())
    assert whole > GIGABYTE
    assert machine_memory((tmp_path / "none", unlimited, larger)) == whole
    assert machine_memory((unlimited, limit)) == GIGABYTE


def test_the_server_has_the_sizes_it_was_given(folder: Path) -> None:
    with EmbeddedPostgres(
        folder / "postgres", fsync=False, connections=307, shared_buffers=144 * MEGABYTE
    ) as server:
        engine = create_engine(server.url, poolclass=NullPool)
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW max_connections")) == "307"
            assert connection.scalar(text("SHOW shared_buffers")) == "144MB"
