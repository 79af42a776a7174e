"""Freed memory, given back to the machine: glibc keeps it in a heap for each thread, where loading a network
leaves tens of megabytes that nobody uses again.
"""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8  # malloc.h


def one_heap() -> None:
    """All threads share one heap from here on; nothing happens where the C library is another one."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def without_converter() -> None:
    """OpenVINO, imported later, comes without what converts networks of other makers: six megabytes that a
    process which only reads never uses. Its package does without it where it is not installed.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]


def give_back_freed() -> None:
    """What is free in the heaps is the machine's again."""
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> ctypes._FuncPointer | None:
    function: ctypes._FuncPointer | None = getattr(ctypes.CDLL(None), name, None)
    return function
