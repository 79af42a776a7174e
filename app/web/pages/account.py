"""Signing in and out, one's own password, language and way of reading."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import language
from app.commands import people, preferences
from app.commands import sessions as commands
from app.domain.roles import Caller, Permission
from app.errors import NotSignedIn, TooManyRequests, Unprocessable
from app.queries import people as queries
from app.queries import preferences as kept
from app.records.engine import transaction
from app.settings import settings
from app.web import sign_in as sessions
from app.web.auth import SESSION_COOKIE, GuardedRoute, anyone, require, signed_in
from app.web.languages import remember
from app.web.pages.forms import Form, Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of
from app.web.problems import problem_headers

router = APIRouter(route_class=GuardedRoute)


@router.get("/sign-in", dependencies=[anyone()])
def sign_in_page(request: Request, next: str = "/") -> Response:
    """Asks for name and password; who was led here with a cookie that opens nothing is told why."""
    ended = "next" in request.query_params and SESSION_COOKIE in request.cookies
    return _sign_in(request, next=sessions.safe_next(next), username="", problem=None, ended=ended)


@router.post("/sign-in", dependencies=[anyone()])
async def sign_in(request: Request, form: Posted) -> Response:
    """Opens a session and leads to where the person wanted to go; whoever waits for a turn has no thread."""
    return await to_thread.run_sync(_signed_in, request, form, limiter=parts_of(request).at_passwords)


def _signed_in(request: Request, form: Form) -> Response:
    target = sessions.safe_next(form.text("next"))
    try:
        signed = sessions.sign_in(request, username=form.text("username"), password=form.secret("password"))
    except (NotSignedIn, TooManyRequests) as problem:
        response = _sign_in(
            request,
            status=problem.status,
            next=target,
            username=form.text("username"),
            problem=problem,
            ended=False,
        )
        if isinstance(problem, TooManyRequests):
            response.headers.update(problem_headers(problem))
        return response
    if signed.awaits_second_factor:
        response = see("/sign-in/code" if target == "/" else f"/sign-in/code?{urlencode({'next': target})}")
        sessions.set_waiting_cookie(response, signed.token)
        return response
    response = see("/password" if signed.must_change_password else target)
    sessions.set_session_cookie(response, signed.token)
    return response


@router.get("/sign-in/code", dependencies=[anyone()])
def code_page(request: Request, next: str = "/") -> Response:
    """Asks who has given the right password for the code of their app."""
    if not sessions.is_waiting(request):
        return see("/sign-in")
    return page(request, "sign_in_code.html", next=sessions.safe_next(next), problem=None)


@router.post("/sign-in/code", dependencies=[anyone()])
def give_code(request: Request, form: Posted) -> Response:
    """Opens a session and leads to where the person wanted to go."""
    target = sessions.safe_next(form.text("next"))
    try:
        signed = sessions.finish_sign_in(request, code=form.text("code"))
    except (NotSignedIn, TooManyRequests) as problem:
        response = page(request, "sign_in_code.html", status=problem.status, next=target, problem=problem)
        if isinstance(problem, TooManyRequests):
            response.headers.update(problem_headers(problem))
        return response
    response = see("/password" if signed.must_change_password else target)
    sessions.set_session_cookie(response, signed.token)
    sessions.clear_waiting_cookie(response)
    return response


@router.post("/language", dependencies=[anyone()])
def speak_before_sign_in(form: Posted) -> Response:
    """This browser is spoken to in the language until somebody signs in who has chosen another."""
    chosen = form.text("language")
    if chosen not in language.languages():
        raise Unprocessable("That language is not among those of this service.")
    target = sessions.safe_next(form.text("next"))
    response = see("/sign-in" if target == "/" else f"/sign-in?{urlencode({'next': target})}")
    remember(response, chosen)
    return response


@router.post("/sign-out")
def sign_out(caller: Annotated[Caller, signed_in(with_one_time_password=True)]) -> Response:
    """Ends the session."""
    sessions.sign_out(by=caller.actor)
    response = see("/signed-out" if caller.via == "oidc" else "/sign-in")
    sessions.clear_session_cookie(response)
    return response


@router.get("/password")
def password_page(
    request: Request, caller: Annotated[Caller, signed_in(with_one_time_password=True)]
) -> Response:
    """Asks for a new password: by choice, or because the present one was made by somebody else."""
    return _password(request, caller)


@router.post("/password")
def change_password(
    request: Request, form: Posted, caller: Annotated[Caller, signed_in(with_one_time_password=True)]
) -> Response:
    """The caller's password is the new one and their other sessions have ended."""
    assert caller.actor.id is not None
    try:
        if form.secret("new") != form.secret("again"):
            raise Unprocessable("The two new passwords are not the same.")
        with sessions.Reproof(request, caller), transaction() as session:
            rotated = people.change_password(
                session,
                user_id=caller.actor.id,
                current=form.secret("current"),
                new=form.secret("new"),
                by=caller.actor,
            )
    except (Unprocessable, TooManyRequests) as problem:
        return _password(request, caller, status=problem.status, problem=problem)
    response = see("/account?changed=1" if not caller.must_change_password else "/")
    if rotated is not None:
        sessions.set_session_cookie(response, rotated.token)
    return response


@router.get("/account")
def account(
    request: Request, caller: Annotated[Caller, signed_in()], changed: bool = False, ended: bool = False
) -> Response:
    """Who one is here, what one may do, whether one reads blind, and where one is signed in."""
    idle = timedelta(minutes=settings().session_idle_minutes)
    with transaction() as session:
        choices = kept.of_user(session, user_id=caller.actor.id)
        opened = queries.open_sessions(session, who=caller.actor, idle=idle)
        factor = queries.second_factor(session, who=caller.actor)
    return page(
        request,
        "account.html",
        caller=caller,
        changed=changed,
        choices=choices,
        languages=language.languages(),
        sessions=opened,
        factor=factor,
        ended=ended,
    )


@router.post("/account/sessions/end")
def end_sessions(caller: Annotated[Caller, signed_in()]) -> Response:
    """Every other session of the caller has ended."""
    assert caller.actor.id is not None
    with transaction() as session:
        commands.sign_out_everywhere(session, user_id=caller.actor.id, by=caller.actor)
    return see("/account?ended=1")


@router.post("/account/language")
def choose_language(form: Posted, caller: Annotated[Caller, signed_in()]) -> Response:
    """The pages speak the language to the caller from now on, in every browser. Those who share this one are
    asked in the language that was chosen when nobody was signed in.
    """
    with transaction() as session:
        preferences.choose_language(session, by=caller.actor, language=form.text("language") or None)
    return see("/account")


@router.post("/account/blind")
def choose_blind(form: Posted, caller: Annotated[Caller, require(Permission.READ)]) -> Response:
    """The network's opinion is shown to the caller after their own verdict only, or at once."""
    with transaction() as session:
        preferences.hide_opinion(session, by=caller.actor, hide=form.text("hide") == "yes")
    return see("/account")


def _sign_in(request: Request, **context: Any) -> Response:
    provider = settings().oidc_name if parts_of(request).provider else None
    return page(request, "sign_in.html", languages=language.languages(), provider=provider, **context)


def _password(request: Request, caller: Caller, *, status: int = 200, problem: Any = None) -> Response:
    return page(request, "password.html", caller=caller, status=status, problem=problem)
