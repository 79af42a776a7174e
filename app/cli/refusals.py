"""Which errors are told in a sentence at the terminal, and which are ours and show where they come from."""

from __future__ import annotations

from typing import Literal, get_origin

from pydantic import ValidationError

from app.commands.backup_refusal import BackupRefused
from app.embedded.refusal import CannotStart
from app.errors import Problem
from app.settings import ServiceNotRunning, Settings


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
    message = message.removeprefix("Value error, ")
    if not place:  # of several settings together; the value is all of them, secrets too
        return f"These settings cannot be used: {message}."
    name = str(place[0]).removeprefix("FIRSTREAD_").lower()
    variable = "PORT" if name == "port" else f"FIRSTREAD_{name.upper()}"
    shown = f" ({str(value)[:60]!r})" if _is_harmless(name) else ""
    return f"{variable}{shown} cannot be used: {message}."


def _is_harmless(name: str) -> bool:
    """Numbers, yes and no, and one of a few words; texts and addresses may hold a password."""
    field = Settings.model_fields.get(name)
    if field is None:
        return False
    return (
        name == "language"
        or field.annotation in (int, float, bool)
        or get_origin(field.annotation) is Literal
    )
