"""Sentences for people, which records and manifests keep in English."""

from __future__ import annotations


def sentence(text: str) -> str:
    """The text itself, which may be an f-string. That it stands in this call puts it into the catalogue of
    those who show it.
    """
    return text
