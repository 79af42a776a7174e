"""Options that take several of a few words, separated by commas."""

from __future__ import annotations

from app.errors import Unprocessable


def choices(given: str, what: str, allowed: list[str]) -> list[str]:
    """The words in `given`; raises Unprocessable naming those that are not in `allowed`."""
    chosen = [part.strip() for part in given.split(",") if part.strip()]
    unknown = [part for part in chosen if part not in allowed]
    if unknown or not chosen:
        raise Unprocessable(
            f"There is no {what} {', '.join(unknown) or repr(given)}; choose from {', '.join(allowed)}."
        )
    return chosen
