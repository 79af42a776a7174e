"""Deleting a patient, for the administrator. Who is meant is posted, and never part of an address."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.commands import blob_removal, deletion, deletion_learning
from app.commands.deletion import Found
from app.commands.deletion_patient import PatientNamed
from app.domain.roles import Caller, Permission
from app.errors import Conflict, NotFound, Problem, Unprocessable
from app.queries import deletions
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Form, Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of

router = APIRouter(prefix="/site/patients", route_class=GuardedRoute)
_Administrator = Annotated[Caller, require(Permission.MANAGE_SITE)]
_FIELDS = ("patient_id", "issuer", "no_issuer", "study", "reason")
_NEWEST = 20


@router.get("")
def patients_page(request: Request, caller: _Administrator, done: bool = False) -> Response:
    """The form: of whom; and what was deleted last."""
    return _page(request, caller, dict.fromkeys(_FIELDS, ""), done=done)


@router.post("")
def look(request: Request, form: Posted, caller: _Administrator) -> Response:
    """What would go, and what would stay."""
    asked = _asked(form)
    try:
        return _page(request, caller, asked, found=_found(request, caller, asked))
    except (Unprocessable, NotFound) as problem:
        return _page(request, caller, asked, problem=problem)


@router.post("/delete")
def delete(request: Request, form: Posted, caller: _Administrator) -> Response:
    """The patient is deleted; what would go must be what the administrator has seen."""
    asked, blobs, found = _asked(form), parts_of(request).blobs, None
    try:
        if not form.text("sure"):
            raise Unprocessable("Tick that you have seen what goes; nothing was deleted.")
        with transaction() as session:
            deleted = deletion.delete_patient(
                session,
                blobs,
                patient=_named(asked),
                reason=asked["reason"],
                seen=form.text("seen"),
                by=caller.actor,
            )
    except (Conflict, Unprocessable, NotFound) as problem:
        with suppress(Unprocessable, NotFound):  # then there is nothing to show
            found = _found(request, caller, asked)
        return _page(request, caller, asked, found=found, problem=problem)
    blob_removal.remove_due(blobs)
    if deleted.had_place:
        deletion_learning.forget_features(settings().home / "features")
    return see("/site/patients?done=true")


@router.get("/proofs/{deletion_id}")
def proof(deletion_id: UUID, _caller: _Administrator) -> Response:
    """The proof of one deletion as a file, as `firstread patient deleted` tells it."""
    with transaction() as session:
        told = deletions.proof(session, deletion_id=deletion_id)
    return JSONResponse(
        told, headers={"Content-Disposition": f'attachment; filename="deletion-{deletion_id}.json"'}
    )


def _asked(form: Form) -> dict[str, str]:
    return {name: form.text(name) for name in _FIELDS}


def _named(asked: dict[str, str]) -> PatientNamed:
    if asked["no_issuer"] and asked["issuer"]:
        raise Unprocessable("Either name the issuer or tick that there is none.")
    return PatientNamed(
        patient_id=asked["patient_id"] or None,
        issuer="" if asked["no_issuer"] else asked["issuer"] or None,
        study=asked["study"] or None,
    )


def _found(request: Request, caller: Caller, asked: dict[str, str]) -> Found:
    with transaction() as session:
        return deletion.look(session, parts_of(request).blobs, patient=_named(asked), by=caller.actor)


def _page(
    request: Request,
    caller: Caller,
    asked: dict[str, str],
    *,
    found: Found | None = None,
    problem: Problem | None = None,
    done: bool = False,
) -> Response:
    with transaction() as session:
        newest, waiting = deletions.newest(session, size=_NEWEST), deletions.waiting(session)
        held_until = deletions.held_until(session)
    return page(
        request,
        "patients.html",
        caller=caller,
        status=problem.status if problem else 200,
        asked=asked,
        found=found,
        problem=problem,
        done=done,
        newest=newest,
        waiting=waiting,
        days=settings().retention_days,
        held_until=held_until,
        longest=deletion.LONGEST_REASON,
    )
