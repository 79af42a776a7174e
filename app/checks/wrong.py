"""What a check raises."""

from __future__ import annotations


class Wrong(Exception):
    """A check failed; `str(error)` says what is wrong and what to do, in a sentence."""
