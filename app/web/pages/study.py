"""The study page: the radiograph, what the network says, what the reader says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import queue
from app.commands import adjudication, audit, review, screening, viewing
from app.commands.review import Statement
from app.commands.takeover import LONGEST_REASON
from app.domain.roles import Caller, Permission
from app.domain.states import State
from app.errors import BadRequest, Conflict, Forbidden, NotFound, Problem, Unprocessable, frames_of
from app.queries import next_study, studies, worklist
from app.queries.guide import guide_for
from app.queries.history import last_signature, lost_to, signed_from
from app.queries.studies import StudyShown
from app.queries.study_page import facts
from app.records.engine import transaction
from app.settings import settings
from app.web.ahead import Ahead, is_ahead
from app.web.auth import GuardedRoute, require
from app.web.marks import marks_in
from app.web.pages.beside import beside_of
from app.web.pages.drafts import Aside, Draft, keep_refused, on_images_now, standing, taken_back
from app.web.pages.forms import Form, Posted
from app.web.pages.happened import changes_since, say_held, say_lost, say_state
from app.web.pages.pictures import pictures_of
from app.web.pages.render import onwards, page, see
from app.web.pages.showing import let_make_ahead, made_of, view_of_next
from app.web.pages.showing import see as see_page
from app.web.pages.words import lasting
from app.web.parts import parts_of

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)

_WITHOUT_BUNDLE = ("pneumonia",)
"""What a reader is asked about before the site has a bundle that names its findings."""
_DONE = (State.SIGNED, State.AMENDED)
_log = structlog.get_logger(__name__)


@router.get("")
def study_page(
    request: Request,
    study_id: UUID,
    caller: Annotated[Caller, require(Permission.READ)],
    signed: UUID | None = None,
    shown: str | None = None,
) -> Response:
    """The study as it stands; looking at it is audited. Covered where a browser makes it ahead of time.

    `shown`: the signature that led here put the view on record (`showing.view_of_next`).
    """
    if is_ahead(request, caller):
        return let_make_ahead(study_page_of(request, study_id, caller, covered=True))
    audited = partial(see_page, told=shown)
    response = study_page_of(request, study_id, caller, signed=signed, audited=audited)
    ahead: Ahead = request.app.state.ahead
    response.background = ahead.of(study_id, reader=caller.actor, parts=parts_of(request))
    return let_make_ahead(response)


@router.get("/now")
def now(
    study_id: UUID, caller: Annotated[Caller, require(Permission.READ, counts_as_activity=False)]
) -> dict[str, str | int | bool | None]:
    """What an open page compares itself with."""
    with transaction() as session:
        found = worklist.entries(session, study_ids=[study_id], to=caller.actor)
        lost = lost_to(session, study_id=study_id, reader=caller.actor.name)
        if not found:
            raise NotFound("There is no such study.")
        entry = found[0]
        shown = studies.show(session, study_id=study_id, to=caller.actor) if entry.state in _DONE else None
    mine = entry.held_by == caller.actor.name
    return {
        "revision": entry.revision,
        "state": entry.state.value,
        "mine": mine,
        "held": say_held(entry.held_by, entry.held_until, mine=mine) if entry.held_by else None,
        "holder": entry.held_by,
        "since": entry.held_since.isoformat() if entry.held_since else None,
        "lost": say_lost(lost) if lost and not mine else None,
        "said": say_state(entry, shown),
    }


@router.post("/retry")
def retry(
    study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW, Permission.READ_OPERATIONS)]
) -> Response:
    """A failed or withheld study is screened again."""
    with transaction() as session:
        due = screening.retry(session, study_id=study_id, by=caller.actor)
        if due:
            audit.record(session, action="study.retry-asked", by=caller.actor, study_id=study_id)
    if due:
        queue.ring(queue.SCREEN, str(study_id))
    return see(f"/studies/{study_id}")


@router.post("/review")
def sign(
    request: Request, study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.REVIEW)]
) -> Response:
    """Signs or amends, and opens the next study; what was refused is shown with all that was filled in."""
    confirm = form.text("action") == "confirm"
    findings, comment, marks = form.named("finding:"), form.text("comment"), form.text("marks")
    revision = form.number("revision")
    if revision is None:
        raise BadRequest("The form lacks the study's revision. Load the page again.")
    try:
        with transaction() as session:
            said: dict[str, Any] = {
                "study_id": study_id,
                "by": caller.actor,
                "revision": revision,
                "findings": _statements(findings),
                "comment": comment,
                "marks": marks_in(marks),
                "undo": timedelta(seconds=settings().undo_seconds),
            }
            if form.text("adjudicates") == "yes" and not confirm:
                signed = adjudication.adjudicate(session, **said)
            else:
                signed = review.sign(session, confirm=confirm, **said)
            opens: UUID | None = study_id
            if signed.state is not State.AMENDED:
                opens = next_study.next_after(session, study_id=study_id, reader=caller.actor.name)
            told = _told_ahead(session, opens, form=form, caller=caller)
    except (Conflict, Forbidden, Unprocessable) as problem:
        adjudicates = form.text("adjudicates") == "yes" if form.text("disputed") else None
        drawn = on_images_now(marks, study_id=study_id)
        pressed = Draft(findings=findings, comment=comment, marks=drawn, adjudicates=adjudicates)
        if _was_done(study_id, caller, revision=revision, confirm=confirm, pressed=pressed):
            with transaction() as session:
                opens = next_study.next_after(session, study_id=study_id, reader=caller.actor.name)
                told = _told_ahead(session, opens, form=form, caller=caller)
            return _onwards(request, study_id, opens, told)
        keep_refused(pressed, study_id=study_id, revision=revision, caller=caller)
        draft = _kept(study_id, caller, pressed, confirm=confirm, form=form)
        return study_page_of(request, study_id, caller, status=problem.status, problem=problem, draft=draft)
    return _onwards(request, study_id, opens, told)


def _told_ahead(session: Any, opens: UUID | None, *, form: Form, caller: Caller) -> str | None:
    """Of what the next page is made now, where the browser has made it ahead. Whatever goes wrong with that
    is logged and hinders no signature: the page asks for itself (`showing.shown`).
    """
    if opens is None or form.text("ahead") != str(opens):
        return None
    try:
        with session.begin_nested():
            return view_of_next(session, opens, caller)
    except Exception as error:  # noqa: BLE001  (what has broken with the connection breaks the commit too)
        _log.error("next_page_not_told", study_id=str(opens), error=type(error).__name__, at=frames_of(error))
        return None


def _onwards(request: Request, study_id: UUID, opens: UUID | None, told: str | None) -> Response:
    """After a signature comes the next study, or the worklist where none is left; an amended one stays."""
    if opens is None:
        return onwards(request, f"/?signed={study_id}")
    return onwards(request, f"/studies/{opens}?signed={study_id}" + (f"&shown={told}" if told else ""))


def study_page_of(
    request: Request,
    study_id: UUID,
    caller: Caller,
    *,
    status: int = 200,
    audited: Callable[..., None] | None = None,
    problem: Problem | None = None,
    draft: Draft | None = None,
    aside: Aside | None = None,
    signed: UUID | None = None,
    covered: bool = False,
) -> Response:
    """The page, with what was refused where something was. `covered`: until `showing.shown` says so.

    That it was seen is on record: as `audited` says, else as one look with what came just before.
    """
    with transaction() as session:
        known = facts(session, study_id=study_id, to=caller.actor)
        reader = caller.actor.name
        next_id = next_study.next_after(session, study_id=study_id, reader=reader)
        following_id = next_study.following(session, study_id=study_id, reader=reader)
        just_signed = last_signature(session, study_id=signed, by=caller.actor) if signed else None
        guide = None if covered else guide_for(session, known.shown, who=caller.actor)
        if covered:
            viewing.send_ahead(session, study_id=study_id, by=caller.actor)
        elif audited:
            audited(session, known, caller)
        else:
            viewing.look(session, study_id=study_id, by=caller.actor, via="page")
    shown, dispute = known.shown, known.dispute
    read_with = shown.reading.bundle_sha256 if shown.reading else None
    back = taken_back(shown, caller)
    active = next((bundle for bundle in known.bundles if bundle.active), None)
    return page(
        request,
        "study.html",
        caller=caller,
        status=status,
        study=shown,
        entry=shown.entry,
        bundle=next((bundle for bundle in known.bundles if bundle.sha256 == read_with), None),
        names=_names_of_findings(shown, active.manifest if active else {}),
        pictures=pictures_of(shown),
        beside=beside_of(shown),
        done=shown.entry.state in _DONE,
        may_review=caller.actor.may(Permission.REVIEW),
        statements=[statement.value for statement in Statement],
        draft=draft or back or (Draft() if dispute else standing(shown)),
        refilled=draft is not None,
        aside=aside or Aside(),
        taken_back=back,
        problem=problem,
        colleagues=known.colleagues,
        dispute=dispute,
        next_id=None if covered else next_id,  # what comes next is told once it is shown
        following_id=None if covered else following_id,
        signed=signed,
        just_signed=just_signed,
        lost=say_lost(known.lost) if known.lost else None,
        made_of=made_of(known, caller) if covered else None,
        longest_reason=LONGEST_REASON,
        guide=guide,
        undo_seconds=settings().undo_seconds,
        shown_at=datetime.now(UTC).isoformat(),
    )


def _names_of_findings(shown: StudyShown, manifest: dict[str, object]) -> list[str]:
    """What the reader is asked about: what the network spoke of, else what the active bundle knows."""
    names = list(lasting(shown.reading.findings)) if shown.reading else []
    if not names:
        known = manifest.get("findings")
        if isinstance(known, list):
            names = [str(finding["name"]) for finding in known if not finding.get("research")]
    for reviewed in shown.reviews[:1]:
        names += [name for name in reviewed.findings if name not in names]
    return names or list(_WITHOUT_BUNDLE)


def _statements(findings: dict[str, str]) -> dict[str, Statement]:
    try:
        return {name: Statement(value) for name, value in findings.items()}
    except ValueError:
        raise BadRequest("A finding is present, absent or uncertain.") from None


def _was_done(study_id: UUID, caller: Caller, *, revision: int, confirm: bool, pressed: Draft) -> bool:
    """True where the same press has already signed, whatever became of the study since: a button pressed
    twice does its work once.
    """
    try:
        marks = [mark.as_json() for mark in marks_in(pressed.marks)]
    except Unprocessable:
        return False
    with transaction() as session:
        last = signed_from(session, study_id=study_id, revision=revision, by=caller.actor)
    if last is None:
        return False
    if confirm:
        said_the_same = last.verdict == "confirmed" and pressed.findings.items() <= last.findings.items()
    else:
        said_the_same = last.findings == pressed.findings
    return said_the_same and last.comment == pressed.comment and list(last.marks) == marks


def _kept(study_id: UUID, caller: Caller, pressed: Draft, *, confirm: bool, form: Form) -> Draft:
    """What was refused, to be filled in again, with what has happened to the study since the page was made.

    A confirmation alone says what the network had said: where somebody else was quicker, amending is one
    step. Where the network has read the study anew, nobody has said what it says now. What the reader has
    filled in is theirs in any case.
    """
    since = form.moment("shown_at")
    with transaction() as session:
        shown = studies.show(session, study_id=study_id, to=caller.actor)
        changes = changes_since(session, shown, since) if since else ()
    findings = pressed.findings
    if confirm and not findings and shown.reading and str(shown.reading.reading_id) == form.text("reading"):
        findings = {
            name: Statement.PRESENT.value if finding["present"] else Statement.ABSENT.value
            for name, finding in lasting(shown.reading.findings).items()
        }
    return replace(pressed, findings=findings, changes=changes)
