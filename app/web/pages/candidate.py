"""A bundle's own page: may it be promoted and why, what it does, who decides, and the way back."""

from __future__ import annotations

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app import queue
from app.blobs import Blobs
from app.commands import evaluation, promotion, viewing
from app.domain.roles import Caller, Permission
from app.errors import Forbidden, NotFound, Problem, Unprocessable
from app.queries import candidate as queries
from app.queries.candidate import CandidateShown
from app.records.engine import transaction
from app.web import model_card
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of

router = APIRouter(prefix="/models", route_class=GuardedRoute)
_Reader = Annotated[Caller, require(Permission.READ_MODELS)]
_Trainer = Annotated[Caller, require(Permission.TRAIN)]
_Promoter = Annotated[Caller, require(Permission.PROMOTE)]


@router.get("/{sha256}")
def candidate(request: Request, sha256: str, caller: _Reader) -> Response:
    """On top whether it may be promoted and why not."""
    return _candidate(request, sha256, caller)


@router.get("/{sha256}/card.md")
def card_as_markdown(sha256: str, caller: _Reader) -> Response:
    """The model card as a file."""
    shown = _shown(sha256, caller)
    return PlainTextResponse(
        model_card.as_markdown(shown),
        media_type="text/markdown; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="model-card-{sha256[:12]}.md"'},
    )


@router.get("/{sha256}/card.json")
def card_as_json(sha256: str, caller: _Reader) -> Response:
    """The model card for machines; it has maps of mistakes, which are views."""
    shown = _shown(sha256, caller)
    if shown.judged is not None:
        with transaction() as session:
            viewing.look_at_maps(session, outcome=shown.judged.outcome, by=caller.actor)
    return JSONResponse(
        model_card.as_json(shown),
        headers={"Content-Disposition": f'attachment; filename="model-card-{sha256[:12]}.json"'},
    )


@router.post("/{sha256}/evaluations")
def evaluate(request: Request, sha256: str, form: Posted, caller: _Trainer) -> Response:
    """A training worker will judge it by the locked test of the snapshot."""
    try:
        with transaction() as session:
            job_id = evaluation.ask(
                session, candidate_sha256=sha256, snapshot_id=form.id("snapshot"), by=caller.actor
            )
    except Problem as problem:
        return _refused(request, sha256, caller, problem)
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/models/{sha256}")


@router.post("/{sha256}/proposals")
def propose(request: Request, sha256: str, form: Posted, caller: _Promoter) -> Response:
    """Another administrator is to decide; where the site needs one person, it reads."""
    try:
        with transaction() as session:
            promotion.propose(
                session, parts_of(request).blobs, sha256=sha256, reason=form.text("reason"), by=caller.actor
            )
    except Problem as problem:
        return _refused(request, sha256, caller, problem)
    return see(f"/models/{sha256}")


@router.post("/{sha256}/rollback")
def roll_back(request: Request, sha256: str, form: Posted, caller: _Promoter) -> Response:
    """It read before and reads again."""
    try:
        with transaction() as session:
            promotion.roll_back(session, to=sha256, reason=form.text("reason"), by=caller.actor)
    except Problem as problem:
        return _refused(request, sha256, caller, problem)
    return see(f"/models/{sha256}")


@router.post("/proposals/{proposal_id}")
def decide(request: Request, proposal_id: UUID, form: Posted, caller: _Promoter) -> Response:
    """Promote, decline or withdraw."""
    with transaction() as session:
        sha256 = promotion.proposed_bundle(session, proposal_id=proposal_id)
    try:
        with transaction() as session:
            promotion.decide(
                session,
                parts_of(request).blobs,
                proposal_id=proposal_id,
                decision=form.text("decision"),
                reason=form.text("reason"),
                by=caller.actor,
            )
    except Problem as problem:
        return _refused(request, sha256, caller, problem)
    return see(f"/models/{sha256}")


def _refused(request: Request, sha256: str, caller: Caller, problem: Problem) -> Response:
    """The page with the sentence on top; what concerns another page is told there."""
    if problem.retry_helps or isinstance(problem, NotFound) or problem.status >= 500:
        raise problem
    if not isinstance(problem, Unprocessable | Forbidden) and problem.status != 409:
        raise problem
    return _candidate(request, sha256, caller, problem=problem)


def _candidate(request: Request, sha256: str, caller: Caller, *, problem: Problem | None = None) -> Response:
    shown = _shown(sha256, caller)
    return page(
        request,
        "candidate.html",
        caller=caller,
        status=problem.status if problem else 200,
        page=shown,
        pictures=_pictures(parts_of(request).blobs, shown, caller),
        card=model_card.sections(shown),
        may_train=caller.actor.may(Permission.TRAIN),
        may_promote=caller.actor.may(Permission.PROMOTE) and caller.actor.kind == "user",
        problem=problem,
    )


def _shown(sha256: str, caller: Caller) -> CandidateShown:
    with transaction() as session:
        return queries.candidate(session, sha256=sha256, to=caller.actor)


def _pictures(blobs: Blobs, shown: CandidateShown, caller: Caller) -> dict[str, str]:
    """The pictures of the mistakes that are told, in base64, for whoever may look at radiographs; that they
    were seen is on record for each study of this site among them.
    """
    if shown.judged is None or not caller.actor.may(Permission.READ):
        return {}
    pictures: dict[str, str] = {}
    seen = set()
    for mistake in shown.judged.outcome["detail"].get("mistakes", []):
        picture = mistake.get("picture_sha256")
        if picture and blobs.has(picture):
            pictures[picture] = base64.b64encode(blobs.read(picture)).decode()
            seen.add(mistake.get("sha256", ""))
    with transaction() as session:
        viewing.look_at_images(session, images=seen, by=caller.actor, via="evaluation")
    return pictures
