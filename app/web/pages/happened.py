"""What others did to a study while somebody had it open, in sentences."""

from __future__ import annotations

from datetime import datetime

from app.language import _, ngettext
from app.queries.history import Happening, ReviewShown
from app.queries.studies import StudyShown
from app.web.pages.terms import word
from app.web.pages.words import say_moment


def changes_since(shown: StudyShown, since: datetime) -> tuple[str, ...]:
    """What has happened to the study since then, in sentences."""
    changes = [say_review(said) for said in reversed(shown.reviews) if said.signed_at > since]
    new_images = sum(image.arrived_at > since for image in shown.images)
    if new_images:
        changes.append(ngettext("%(num)s new image arrived.", "%(num)s new images arrived.", new_images))
    if shown.reading and shown.reading.read_at > since:
        changes.append(_("The network read it anew at %(when)s.", when=say_moment(shown.reading.read_at)))
    return tuple(changes)


def say_lost(lost: Happening) -> str:
    """By whom a study was taken over from its reader, when and why."""
    return _(
        "%(who)s took this study over from you at %(when)s: “%(reason)s”",
        who=lost.by,
        when=say_moment(lost.at),
        reason=lost.reason,
    )


def say_held(holder: str, until: datetime | None, *, mine: bool) -> str:
    """Who holds a study, and until when."""
    if mine:
        return _("Held by you until %(when)s.", when=say_moment(until))
    return _("Held by %(who)s until %(when)s.", who=holder, when=say_moment(until))


def say_review(said: ReviewShown) -> str:
    """Who signed or amended, when, and what they said."""
    findings = _(", ").join(
        _("%(finding)s %(statement)s", finding=word(name), statement=word(value))
        for name, value in said.findings.items()
    )
    values = {"who": said.reviewer_name, "when": say_moment(said.signed_at), "findings": findings}
    if said.amends:
        return _("%(who)s amended at %(when)s: %(findings)s.", **values)
    return _("%(who)s signed at %(when)s: %(findings)s.", **values)
