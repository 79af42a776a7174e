"""Compiled networks that a process keeps until it ends.

OpenVINO ends a compiled network's threads where the last reference to it is dropped, and has been seen to
wait for them for ever, with the interpreter's lock in its hand, on a machine that had no time left for them
(2026.4, processor). A process that must not stand still keeps what it has compiled, some tens of megabytes
each, and ends without ending it.
"""

from __future__ import annotations

from typing import TypeVar

_Model = TypeVar("_Model")
_kept: list[object] = []


class _Keeping:
    on = False


def keep_compiled() -> None:
    """From here on this process destroys no network that it has compiled."""
    _Keeping.on = True


def compiled(model: _Model) -> _Model:
    """The model, kept where this process keeps them."""
    if _Keeping.on:
        _kept.append(model)
    return model
