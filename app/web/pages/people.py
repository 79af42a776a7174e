"""People and the keys of machines, for the administrator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import keys, people, second_factor, sessions
from app.domain.roles import Caller, Permission, Role, Scope
from app.errors import BadRequest, Conflict, Problem, Unprocessable
from app.language import _
from app.queries import people as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Form, Posted, press_of
from app.web.pages.render import page, see
from app.web.parts import parts_of
from app.web.sign_in import set_session_cookie

router = APIRouter(prefix="/people", route_class=GuardedRoute)
_Manager = Annotated[Caller, require(Permission.MANAGE_PEOPLE)]
_LONGEST_DAYS = 3650


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A password or key as it is shown, once."""

    what: str
    value: str


@router.get("")
def people_page(request: Request, caller: _Manager) -> Response:
    """Everybody and every key."""
    return _people(request, caller)


@router.post("/users")
def add_user(request: Request, form: Posted, caller: _Manager) -> Response:
    """Makes a person and shows the one-time password."""
    try:
        with transaction() as session:
            one_time = people.add_user(
                session,
                username=form.text("username"),
                display_name=form.text("display_name"),
                roles=_roles(form),
                by=caller.actor,
                press=press_of(request, form),
            )
    except (Conflict, Unprocessable) as problem:
        return _people(request, caller, problem=problem, form=form)
    name = form.text("username").lower()
    what = _("One-time password of %(name)s", name=name)
    return _people(request, caller, secret=Secret(what=what, value=one_time))


@router.post("/users/{user_id}/roles")
def set_roles(request: Request, user_id: UUID, form: Posted, caller: _Manager) -> Response:
    """The person has exactly these roles."""
    try:
        with transaction() as session:
            rotated = people.set_roles(session, user_id=user_id, roles=_roles(form), by=caller.actor)
    except (Conflict, Unprocessable) as problem:
        return _people(request, caller, problem=problem)
    response = see("/people")
    if rotated is not None:
        set_session_cookie(response, rotated.token)
    return response


@router.post("/users/{user_id}/unlock")
def unlock(request: Request, user_id: UUID, caller: _Manager) -> Response:
    """The person may try to sign in again at once."""
    try:
        with transaction() as session:
            people.unlock(session, user_id=user_id, by=caller.actor)
            name = _name(queries.users(session), user_id)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    parts_of(request).throttle.right(username=name)
    return see("/people")


@router.post("/users/{user_id}/sessions/end")
def end_sessions(user_id: UUID, caller: _Manager) -> Response:
    """Every session of the person has ended."""
    with transaction() as session:
        people.check_exists(session, user_id=user_id)
        sessions.sign_out_everywhere(session, user_id=user_id, by=caller.actor)
    return see("/people")


@router.post("/users/{user_id}/second-factor/reset")
def reset_second_factor(request: Request, user_id: UUID, caller: _Manager) -> Response:
    """The person signs in with the password alone, and sets up another one where a role needs it."""
    try:
        with transaction() as session:
            second_factor.reset(session, user_id=user_id, by=caller.actor)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    return see("/people")


@router.post("/second-factor")
def require_second_factor(form: Posted, caller: _Manager) -> Response:
    """These roles need a second factor, and no others."""
    with transaction() as session:
        second_factor.require_of(session, roles=_roles(form), by=caller.actor)
    return see("/people")


@router.post("/users/{user_id}/disable")
def disable_user(request: Request, user_id: UUID, caller: _Manager) -> Response:
    """The person cannot come in any more."""
    try:
        with transaction() as session:
            people.disable_user(session, user_id=user_id, by=caller.actor)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    return see("/people")


@router.post("/users/{user_id}/enable")
def enable_user(request: Request, user_id: UUID, form: Posted, caller: _Manager) -> Response:
    """The person can come in again; shows the new one-time password of who has passwords here."""
    try:
        with transaction() as session:
            press = press_of(request, form)
            one_time = people.enable_user(session, user_id=user_id, by=caller.actor, press=press)
            name = _name(queries.users(session), user_id)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    if one_time is None:
        return see("/people")
    what = _("New one-time password of %(name)s", name=name)
    return _people(request, caller, secret=Secret(what=what, value=one_time))


@router.post("/users/{user_id}/password")
def reset_password(request: Request, user_id: UUID, form: Posted, caller: _Manager) -> Response:
    """Makes a new one-time password and shows it."""
    try:
        with transaction() as session:
            press = press_of(request, form)
            one_time = people.reset_password(session, user_id=user_id, by=caller.actor, press=press)
            name = _name(queries.users(session), user_id)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    what = _("New one-time password of %(name)s", name=name)
    return _people(request, caller, secret=Secret(what=what, value=one_time))


@router.post("/keys")
def add_key(request: Request, form: Posted, caller: _Manager) -> Response:
    """Makes a key and shows it."""
    try:
        days = form.number("days")
        if days is not None and not 1 <= days <= _LONGEST_DAYS:
            raise Unprocessable(f"A key lives 1 to {_LONGEST_DAYS} days; leave the field empty for no end.")
        with transaction() as session:
            key = keys.add_key(
                session,
                name=form.text("name"),
                scopes=_scopes(form),
                by=caller.actor,
                lifetime=timedelta(days=days) if days else None,
                address_ranges=form.text("ranges").replace(",", " ").split(),
                press=press_of(request, form),
            )
    except (BadRequest, Conflict, Unprocessable) as problem:
        return _people(request, caller, problem=problem, form=form)
    what = _("API key %(name)s", name=form.text("name"))
    return _people(request, caller, secret=Secret(what=what, value=key))


@router.post("/keys/{key_id}/revoke")
def revoke_key(key_id: UUID, caller: _Manager) -> Response:
    """The key opens nothing any more."""
    with transaction() as session:
        keys.revoke_key(session, key_id=key_id, by=caller.actor)
    return see("/people")


def _name(users: tuple[queries.UserShown, ...], user_id: UUID) -> str:
    return next(user.username for user in users if user.id == user_id)


def _people(
    request: Request,
    caller: Caller,
    *,
    problem: Problem | None = None,
    secret: Secret | None = None,
    form: Form | None = None,
) -> Response:
    with transaction() as session:
        users, keys = queries.users(session), queries.keys(session)
        second_factor_roles = second_factor.required_of(session)
    return page(
        request,
        "people.html",
        caller=caller,
        status=problem.status if problem else 200,
        users=users,
        keys=keys,
        roles=[role.value for role in Role],
        scopes=[scope.value for scope in Scope],
        second_factor_roles=second_factor_roles,
        problem=problem,
        secret=secret,
        form=form or Form(()),
    )


def _roles(form: Form) -> list[Role]:
    try:
        return [Role(role) for role in form.texts("roles")]
    except ValueError:
        said_roles = ", ".join(Role)
        raise Unprocessable(f"A role is one of {said_roles}.") from None


def _scopes(form: Form) -> list[Scope]:
    try:
        return [Scope(scope) for scope in form.texts("scopes")]
    except ValueError:
        said_scopes = ", ".join(Scope)
        raise Unprocessable(f"A scope is one of {said_scopes}.") from None
