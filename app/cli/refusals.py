"""Which errors are told in a sentence at the terminal, and which are ours and show where they come from."""

from __future__ import annotations

from pydantic import ValidationError

from app.commands.backup_refusal import BackupRefused
from app.embedded.refusal import CannotStart
from app.errors import Problem
from app.settings import ServiceNotRunning


def in_words(error: Exception) -> str | None:
    """The sentence for the person at the terminal; None for an error that nobody foresaw."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        return " ".join(_of_setting(one["loc"], one["msg"], one["input"]) for one in error.errors())
    if isinstance(error, Problem):
        return error.detail
    if isinstance(error, BackupRefused | CannotStart | ServiceNotRunning):
        return str(error)
    return None


def _of_setting(place: tuple[int | str, ...], message: str, value: object) -> str:
    name = str(place[0]) if place else "a setting"
    variable = name if name == "PORT" else f"FIRSTREAD_{name.removeprefix('FIRSTREAD_').upper()}"
    shown = f" ({str(value)[:60]!r})" if "password" not in name and "secret" not in name else ""
    return f"{variable}{shown} cannot be used: {message}."
