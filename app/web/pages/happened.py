"""What others did to a study while somebody had it open, in sentences."""

from __future__ import annotations

from datetime import datetime

from app.queries.history import Happening, ReviewShown
from app.queries.studies import StudyShown
from app.web.pages.words import say_moment


def changes_since(shown: StudyShown, since: datetime) -> tuple[str, ...]:
    """What has happened to the study since then, in sentences."""
    changes = [say_review(said) for said in reversed(shown.reviews) if said.signed_at > since]
    new_images = sum(image.arrived_at > since for image in shown.images)
    if new_images:
        changes.append(f"{new_images} new image{'s' if new_images > 1 else ''} arrived.")
    if shown.reading and shown.reading.read_at > since:
        changes.append(f"The network read it anew at {say_moment(shown.reading.read_at)}.")
    return tuple(changes)


def say_lost(lost: Happening) -> str:
    """By whom a study was taken over from its reader, when and why."""
    return f"{lost.by} took this study over from you at {say_moment(lost.at)}: “{lost.reason}”"


def say_review(said: ReviewShown) -> str:
    """Who signed or amended, when, and what they said."""
    verb = "amended" if said.amends else "signed"
    findings = ", ".join(f"{name} {value}" for name, value in said.findings.items())
    return f"{said.reviewer_name} {verb} at {say_moment(said.signed_at)}: {findings}."
