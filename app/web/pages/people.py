"""People and the keys of machines, for the administrator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import keys, people
from app.domain.roles import Caller, Permission, Role, Scope
from app.errors import BadRequest, Conflict, Problem, Unprocessable
from app.language import _
from app.queries import people as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Form, Posted
from app.web.pages.render import page, see

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
            people.set_roles(session, user_id=user_id, roles=_roles(form), by=caller.actor)
    except (Conflict, Unprocessable) as problem:
        return _people(request, caller, problem=problem)
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
def enable_user(request: Request, user_id: UUID, caller: _Manager) -> Response:
    """The person can come in again; shows the new one-time password."""
    try:
        with transaction() as session:
            one_time = people.enable_user(session, user_id=user_id, by=caller.actor)
            name = _name(queries.users(session), user_id)
    except Conflict as problem:
        return _people(request, caller, problem=problem)
    what = _("New one-time password of %(name)s", name=name)
    return _people(request, caller, secret=Secret(what=what, value=one_time))


@router.post("/users/{user_id}/password")
def reset_password(request: Request, user_id: UUID, caller: _Manager) -> Response:
    """Makes a new one-time password and shows it."""
    with transaction() as session:
        one_time = people.reset_password(session, user_id=user_id, by=caller.actor)
        name = _name(queries.users(session), user_id)
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
    return page(
        request,
        "people.html",
        caller=caller,
        status=problem.status if problem else 200,
        users=users,
        keys=keys,
        roles=[role.value for role in Role],
        scopes=[scope.value for scope in Scope],
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
