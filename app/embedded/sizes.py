"""How large the embedded PostgreSQL is made, from what it must serve and what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

MEGABYTE = 2**20
_LEAST_BUFFERS = 128 * MEGABYTE
_MOST_BUFFERS = 2048 * MEGABYTE
_SHARE_OF_MEMORY = 16
"""The worker and its decoders need far more of the machine than the database does."""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_ALL_OF_ONE_PROCESS = 30
"""What the pool of a process opens at most (`app.records.engine`)."""
_LISTENING = 1
"""A web process listens to the database beside its pool."""
_BY_HAND = 4
"""Further workers and commands, each with a full pool."""
_RESERVED = 3
"""PostgreSQL keeps these for its superuser."""


def connections_for(*, web_processes: int) -> int:
    """Connections that PostgreSQL must allow for so many web processes, the three workers, the DICOM
    listener, and what is started by hand beside them: however busy they are, none is refused one.
    """
    web = web_processes * (_ALL_OF_ONE_PROCESS + _LISTENING)
    return web + (4 + _BY_HAND) * _ALL_OF_ONE_PROCESS + _RESERVED


def shared_buffers_for(memory: int) -> int:
    """PostgreSQL's own cache in bytes on a machine with `memory` bytes: a sixteenth, 128 MB to 2 GB."""
    share = memory // _SHARE_OF_MEMORY // MEGABYTE * MEGABYTE
    return min(max(share, _LEAST_BUFFERS), _MOST_BUFFERS)


def machine_memory(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Bytes this process may use: the machine's, or less where a container has a limit; 0 where unknown."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
    for limit in limits:
        try:
            memory = min(memory, int(limit.read_text()))
        except (OSError, ValueError):  # no such file, or the word max
            continue
    return memory
