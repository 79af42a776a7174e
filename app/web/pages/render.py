"""From a template and a caller to a page; the only place that knows Jinja."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app import language
from app.domain.roles import Caller, Permission
from app.errors import Problem
from app.language import N_
from app.queries import adjudication
from app.queries.bundles import proposals_of_others
from app.records.engine import transaction
from app.settings import settings
from app.told import told
from app.web.pages import terms, words
from app.web.pages.deeds import deed, detail
from app.web.pages.explained import explained
from app.web.static import static_url

_TEMPLATES = Path(__file__).parent.parent / "templates"

_environment = Environment(
    extensions=["jinja2.ext.i18n"],
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.policies["ext.i18n.trimmed"] = True
_environment.install_gettext_callables(  # type: ignore[attr-defined]  # of the extension
    gettext=language.translated,
    ngettext=language.translated_plural,
    pgettext=language.translated_in_context,
    newstyle=True,
)
_environment.filters |= {
    "moment": words.say_moment,
    "full_moment": words.say_full_moment,
    "day": words.say_date,
    "clock": words.say_time,
    "duration": words.say_duration,
    "age": words.say_age,
    "sex": words.say_sex,
    "person": words.say_name,
    "state": words.say_state,
    "lane_sign": words.lane_sign,
    "lane_name": words.lane_name,
    "word": terms.word,
    "deed": deed,
    "told": told,
    "detail": detail,
    "spoken": words.spoken,
    "lasting": words.lasting,
    "bytes": words.say_bytes,
    "p": words.say_p,
}
_environment.globals |= {
    "static": static_url,
    "drawn_once": lambda: secrets.token_urlsafe(16),
    "use": words.USE,
    "explained": explained,
    "Permission": Permission,
    "language_tag": language.tag,
    "language_name": language.name_of,
    "script_texts": language.script_texts,
    "language": language.current,
}


@dataclass(frozen=True)
class Door:
    """One entry of the navigation, shown to whoever may pass."""

    address: str
    name: str
    permission: Permission


DOORS = (
    Door("/", N_("Worklist"), Permission.READ),
    Door("/adjudication", N_("Adjudication"), Permission.REVIEW),
    Door("/upload", N_("Upload"), Permission.ADMIT),
    Door("/conflicts", N_("Conflicts"), Permission.RESOLVE_CONFLICTS),
    Door("/destinations", N_("Destinations"), Permission.MANAGE_DESTINATIONS),
    Door("/models", N_("Network"), Permission.READ_MODELS),
    Door("/training", N_("Training"), Permission.TRAIN),
    Door("/people", N_("People"), Permission.MANAGE_PEOPLE),
    Door("/site", N_("Site"), Permission.MANAGE_SITE),
    Door("/audit", N_("Audit"), Permission.READ_AUDIT),
    Door("/status", N_("Status"), Permission.READ_OPERATIONS),
)


def doors_of(caller: Caller | None) -> list[Door]:
    """Where this caller may go."""
    if caller is None or caller.must_set_up:
        return []
    return [door for door in DOORS if caller.actor.may(door.permission)]


def page(
    request: Request,
    template: str,
    *,
    caller: Caller | None = None,
    status: int = 200,
    tallied: bool = True,
    **context: Any,
) -> Response:
    """The template as a page of this caller; texts are escaped. `tallied`: doors say what waits there."""
    html = _environment.get_template(template).render(
        caller=caller,
        doors=doors_of(caller),
        tallies=_tallies(caller) if tallied else {},
        here=request.url.path,
        site_name=settings().site_name,
        **context,
    )
    return HTMLResponse(html, status_code=status)


def _tallies(caller: Caller | None) -> dict[str, int]:
    """By the address of a door, how much waits behind it."""
    if caller is None or caller.must_set_up or not _may_decide(caller):
        return {}
    with transaction() as session:
        return {
            "/adjudication": adjudication.count(session, who=caller.actor),
            "/models": proposals_of_others(session, who=caller.actor),
        }


def _may_decide(caller: Caller) -> bool:
    return caller.actor.may(Permission.REVIEW) or caller.actor.may(Permission.PROMOTE)


def fragment(template: str, **context: Any) -> str:
    """A part of a page."""
    return _environment.get_template(template).render(**context)


def see(address: str) -> Response:
    """After a POST: the browser goes there with a GET."""
    return RedirectResponse(address, status_code=303)


def onwards(request: Request, address: str) -> Response:
    """As `see`; a script that sends the form itself is told where to go instead."""
    if request.headers.get("accept") == "application/json":
        return JSONResponse({"next": address})
    return see(address)


def problem_page(request: Request, *, problem: Problem, request_id: str | None) -> Response:
    """A refusal as a page for people."""
    return page(
        request,
        "problem.html",
        caller=getattr(request.state, "caller", None),
        status=problem.status,
        tallied=False,  # the database may be what is wrong
        problem=problem,
        request_id=request_id,
    )
