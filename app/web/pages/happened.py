"""What others did to a study while somebody had it open, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.domain.states import Outcome, State
from app.domain.superseding import as_it_is_now
from app.language import _, ngettext
from app.queries.history import Happening, ReviewShown, besides_signatures
from app.queries.studies import ImageShown, ReadingShown, StudyShown
from app.queries.worklist import WorklistEntry
from app.told import told
from app.web.pages.terms import word
from app.web.pages.words import say_moment


def changes_since(session: Any, shown: StudyShown, since: datetime) -> tuple[str, ...]:
    """What has happened to the study since then, in sentences, the oldest first."""
    besides = besides_signatures(session, study_id=shown.entry.study_id, since=since)
    changes = [(said.signed_at, say_review(said)) for said in shown.reviews if said.signed_at > since]
    changes += [(at, told(said)) for at, said in besides]
    changes += [
        (line.at, _say_withdrawal(line.by, line.review.signed_at, line.at))
        for line in shown.history
        if line.kind == "withdrawal" and line.review and line.at > since
    ]
    came = [at for at in _first_came(shown.images) if at > since]
    if came:
        arrived = ngettext("%(num)s new image arrived.", "%(num)s new images arrived.", len(came))
        changes.append((max(came), arrived))
    if shown.reading and shown.reading.read_at > since:
        changes.append((shown.reading.read_at, _say_reading(shown.reading)))
    return tuple(said for _at, said in sorted(changes, key=lambda change: change[0]))


def _first_came(images: Sequence[ImageShown]) -> list[datetime]:
    """When each picture came first: one that came again with another header is no new one."""
    newer = {str(image.image_id): str(image.superseded_by) for image in images if image.superseded_by}
    first: dict[str, datetime] = {}
    for image in images:
        stands = as_it_is_now(str(image.image_id), newer)
        first[stands] = min(image.arrived_at, first.get(stands, image.arrived_at))
    return list(first.values())


def _say_reading(reading: ReadingShown) -> str:
    when = say_moment(reading.read_at)
    if reading.outcome == Outcome.SCREENED.value:
        return _("The network read it at %(when)s.", when=when)
    return _("The network tried at %(when)s to read it, and did not.", when=when)


def _say_withdrawal(who: str, signed_at: datetime, at: datetime) -> str:
    return _(
        "%(who)s took back at %(when)s the signature of %(signed)s.",
        who=who,
        when=say_moment(at),
        signed=say_moment(signed_at),
    )


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


def say_state(entry: WorklistEntry, shown: StudyShown | None) -> str | None:
    """Of a study that is open again why it is; of one that was signed what stands, where `shown` has that."""
    if entry.state is State.REOPENED:
        return told(entry.reason) or None
    return say_review(shown.reviews[0]) if shown and shown.reviews else None


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
