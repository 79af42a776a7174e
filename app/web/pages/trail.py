"""The audit trail, for the auditor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.domain.sentence import sentence
from app.errors import NotFound, Problem, Unprocessable
from app.local_time import local
from app.queries import audit
from app.queries.audit import TrailFilter
from app.queries.audit_patient import PatientAsked, PatientFound, ask
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page

router = APIRouter(prefix="/audit", route_class=GuardedRoute)
_Text = Annotated[str, Query(max_length=100)]


@router.get("")
def trail(
    request: Request,
    caller: Annotated[Caller, require(Permission.READ_AUDIT)],
    actor: _Text = "",
    action: _Text = "",
    study: _Text = "",
    since: _Text = "",
    until: _Text = "",
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """The newest events that match, a page at a time."""
    asked = {
        "actor": actor.strip(),
        "action": action.strip(),
        "study": study.strip(),
        "since": since,
        "until": until,
    }
    problem, shown = None, None
    try:
        wanted = TrailFilter(
            actor=asked["actor"] or None,
            action=asked["action"] or None,
            studies=_study(asked["study"]),
            since=_midnight(since, sentence("From")),
            until=_midnight(until, sentence("To"), days=1),
        )
        with transaction() as session:
            shown = audit.trail(session, wanted=wanted, to=caller.actor, before=before)
    except Unprocessable as found:
        problem = found
    following = shown.next_before if shown else None
    query = urlencode({name: value for name, value in asked.items() if value} | {"before": following})
    return page(
        request,
        "audit.html",
        caller=caller,
        status=problem.status if problem else 200,
        events=shown.events if shown else (),
        next_address=f"/audit?{query}" if following else None,
        asked=asked,
        is_first=before is None,
        problem=problem,
    )


@router.get("/patient")
def ask_of_patient(request: Request, caller: Annotated[Caller, require(Permission.READ_AUDIT)]) -> Response:
    """The form: of whom somebody wants to know who saw their studies."""
    return _of_patient(request, caller, _Asked())


@router.post("/patient")
def of_patient(
    request: Request, form: Posted, caller: Annotated[Caller, require(Permission.READ_AUDIT)]
) -> Response:
    """Who saw and did what to a patient's studies. Posted, so that no patient data enter an address; each
    page is on record.
    """
    asked = _Asked(
        patient_id=form.text("patient_id").strip(),
        issuer=form.text("issuer").strip(),
        study=form.text("study").strip(),
    )
    try:
        before = _before(form.text("before"))
        wanted = PatientAsked(
            patient_id=asked.patient_id or None, issuer=asked.issuer or None, study=asked.study or None
        )
        with transaction() as session:
            found = ask(session, asked=wanted, by=caller.actor)
            shown = audit.trail(
                session, wanted=TrailFilter(studies=found.study_ids), to=caller.actor, before=before
            )
    except (Unprocessable, NotFound) as problem:
        return _of_patient(request, caller, asked, problem=problem)
    return _of_patient(request, caller, asked, found=found, shown=shown, is_first=before is None)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    patient_id: str = ""
    issuer: str = ""
    study: str = ""


def _of_patient(
    request: Request,
    caller: Caller,
    asked: _Asked,
    *,
    problem: Problem | None = None,
    found: PatientFound | None = None,
    shown: audit.TrailPage | None = None,
    is_first: bool = True,
) -> Response:
    return page(
        request,
        "audit_patient.html",
        caller=caller,
        status=problem.status if problem else 200,
        asked=asked,
        problem=problem,
        found=found,
        events=shown.events if shown else (),
        next_before=shown.next_before if shown else None,
        is_first=is_first,
    )


def _before(text: str) -> int | None:
    if not text:
        return None
    if len(text) > 19 or not text.isascii() or not text.isdigit() or int(text) > 2**62:
        raise Unprocessable("The page cannot be continued from there. Ask again.")
    return int(text)


def _study(text: str) -> tuple[UUID] | None:
    try:
        return (UUID(text),) if text else None
    except ValueError:
        raise Unprocessable("The study's id is a UUID, as in the address of its page.") from None


def _midnight(text: str, said_field: str, *, days: int = 0) -> datetime | None:
    """Midnight of that day, and so many days later, in the site's zone."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise Unprocessable(f"{said_field} is a day, as 2026-11-22.") from None
    return datetime.combine(day, time(), tzinfo=local(datetime.now(UTC)).tzinfo)
