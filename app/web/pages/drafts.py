"""What a reader has filled in on the study page, to be shown again: refused, taken back, amended, or left."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter

from app.commands import drafts
from app.commands.review import Statement
from app.commands.superseding import superseded_by
from app.domain.marks import on_standing_images
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, Problem, Unprocessable
from app.queries import studies
from app.queries.drafts import of_reader
from app.queries.studies import StudyShown
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.marks import marks_in
from app.web.pages.forms import Posted
from app.web.pages.happened import changes_since

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)
_ANSWERS = frozenset(statement.value for statement in Statement)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the reader had filled in when a form was refused; it is shown again."""

    findings: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    marks: str = "[]"
    """JSON, as the form holds it."""
    changes: tuple[str, ...] = ()
    corrects: bool = True
    """False where all it holds is that the network was right."""
    adjudicates: bool | None = None
    """Whether it was to settle a disagreement; None where that was not asked."""


@dataclass(frozen=True, kw_only=True)
class Aside:
    """What was filled in of the page's other forms when one of them was refused; it is shown again."""

    reason: str = ""
    """Why a study was to be taken over."""
    question: str = ""
    colleague: str = ""
    """The id of whoever was to be asked the question."""

    @property
    def asks(self) -> bool:
        """A question to a colleague was refused."""
        return bool(self.question or self.colleague)


def taken_back(shown: StudyShown, caller: Caller) -> Draft | None:
    """What the caller had signed, where taking it back was the last that happened to the study."""
    last = next((line for line in shown.history if line.review), None)
    if last is None or last.review is None or last.kind != "withdrawal":
        return None
    said = last.review
    if said.reviewer_id != caller.actor.id:
        return None
    return Draft(
        findings={name: str(value) for name, value in said.findings.items()},
        comment=said.comment,
        marks=json.dumps(said.marks),
        corrects=said.verdict != "confirmed" or bool(said.comment),
    )


def standing(shown: StudyShown) -> Draft:
    """An amendment begins with what stands."""
    if not shown.reviews:
        return Draft()
    last = shown.reviews[0]
    findings = {name: str(said) for name, said in last.findings.items()}
    return Draft(findings=findings, marks=json.dumps(last.marks))


def on_images_now(marks: str, *, study_id: UUID) -> str:
    """The marks of a form, each on the image that stands; text that cannot be read stays as it is."""
    try:
        drawn = [mark.as_json() for mark in marks_in(marks)]
    except Unprocessable:
        return marks
    if not drawn:
        return marks
    with transaction() as session:
        return json.dumps(on_standing_images(drawn, superseded_by(session, [study_id])))


def keep_refused(pressed: Draft, *, study_id: UUID, revision: int, caller: Caller) -> None:
    """What was refused is kept for its writer, as the page's script keeps what they write. What the service
    does not keep (it is too long, or signed from since) stands on the page that answers alone.
    """
    with suppress(Problem):
        marks = marks_in(pressed.marks)
        if pressed.findings or pressed.comment or marks:
            with transaction() as session:
                drafts.keep(
                    session,
                    study_id=study_id,
                    by=caller.actor,
                    revision=revision,
                    findings=pressed.findings,
                    comment=pressed.comment,
                    marks=marks,
                    minutes=settings().claim_minutes,
                )


@router.get("/draft")
def kept(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> dict[str, Any]:
    """What the caller has kept of the study, and what has happened to it since, by this machine's clock.

    It is asked by the page that is on the screen, whose view is on record.
    """
    with transaction() as session:
        draft = of_reader(session, study_id=study_id, reader=caller.actor)
        changes: tuple[str, ...] = ()
        if draft and draft.moved:
            shown = studies.show(session, study_id=study_id, to=caller.actor)
            changes = changes_since(session, shown, draft.kept_at)
    now = datetime.now(UTC).isoformat()
    if draft is None:
        return {"draft": None, "now": now}
    said = {
        "findings": draft.findings,
        "comment": draft.comment,
        "marks": draft.marks,
        "kept_at": draft.kept_at.isoformat(),
        "moved": draft.moved,
        "changes": changes,
    }
    return {"draft": said, "now": now}


@router.post("/draft")
def keep(
    study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.REVIEW)]
) -> dict[str, bool]:
    """What is filled in is kept for the caller, of a correction that is not signed; nothing discards it.
    A study that they hold is held for longer.
    """
    findings, comment, marks = form.named("finding:"), form.text("comment"), marks_in(form.text("marks"))
    if not _ANSWERS.issuperset(findings.values()):
        raise BadRequest("A finding is present, absent or uncertain.")
    revision = form.number("revision")
    with transaction() as session:
        if not (findings or comment or marks):
            drafts.discard(session, study_id=study_id, by=caller.actor)
            return {"kept": False}
        if revision is None:
            raise BadRequest("The form lacks the study's revision. Load the page again.")
        drafts.keep(
            session,
            study_id=study_id,
            by=caller.actor,
            revision=revision,
            findings=findings,
            comment=comment,
            marks=marks,
            minutes=settings().claim_minutes,
        )
    return {"kept": True}
