"""The worklist: its sections, filters and search, and its rows for live pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.commands import audit, keys, preferences
from app.domain.roles import Caller, Permission, Scope
from app.domain.states import State
from app.errors import Forbidden
from app.local_time import local
from app.queries import bundles, worklist
from app.queries import preferences as kept
from app.queries.history import last_signature
from app.queries.second_opinions import correspondence
from app.queries.worklist import WorklistEntry
from app.queries.worklist_filter import HOLDERS, LANES, STATES, WorklistFilter, filter_of
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require, signed_in
from app.web.pages.forms import Form, Posted, press_of
from app.web.pages.render import doors_of, fragment, page, see
from app.web.pages.sending import sending_facts

router = APIRouter(route_class=GuardedRoute)
_ROWS_AT_ONCE = 50
_Reader = Annotated[Caller, require(Permission.READ)]
_Watcher = Annotated[Caller, require(Permission.READ, counts_as_activity=False)]
Section = Literal["unsigned", "done"]


@router.get("/")
def first_page(
    request: Request,
    caller: Annotated[Caller, signed_in()],
    cursor: str | None = None,
    section: Section = "unsigned",
    signed: UUID | None = None,
) -> Response:
    """The worklist, or the first page that somebody without access to studies may see."""
    if not caller.actor.may(Permission.READ):
        doors = doors_of(caller)
        if not doors:
            raise Forbidden("Your roles open no page here. Ask an administrator.")
        return see(doors[0].address)
    return _worklist(request, caller, cursor=cursor, section=section, signed=signed)


@router.get("/worklist/page")
def live_page(
    request: Request, caller: _Watcher, cursor: str | None = None, section: Section = "unsigned"
) -> Response:
    """The same page for a script that renews an open one: an unattended screen keeps no session alive."""
    return _worklist(request, caller, cursor=cursor, section=section, signed=None)


def _worklist(
    request: Request, caller: Caller, *, cursor: str | None, section: Section, signed: UUID | None
) -> Response:
    # What was signed today is listed whole: a filter is of what is to be read.
    where = WorklistFilter() if section == "done" else _filter(request)
    to, moment = caller.actor, now()
    due_before = _due_before(moment)
    with transaction() as session:
        if section == "done":
            shown = worklist.done(session, since=_midnight(), to=to, cursor=cursor)
        else:
            shown = worklist.page(session, cursor=cursor, where=where, to=to)
        counts = worklist.counts(session, due_before=due_before, where=where, to=to)
        stations, findings = worklist.stations(session), bundles.findings(session)
        letters = correspondence(session, who=to)
        choices = kept.of_user(session, user_id=caller.actor.id)
        just_signed = last_signature(session, study_id=signed, by=caller.actor) if signed else None
    stalled = counts.oldest_unscreened_seconds
    return page(
        request,
        "worklist.html",
        caller=caller,
        entries=shown.entries,
        next_query=where.query(section=_named(section), cursor=shown.next_cursor),
        next_cursor=shown.next_cursor,
        counts=counts,
        moment=moment,
        due_before=due_before,
        due_hours=settings().credit_rule_in_hours,
        section=section,
        where=where,
        own_query=where.query(section=_named(section)),
        lanes=LANES,
        states=STATES,
        holders=HOLDERS,
        stations=stations,
        finding_names=findings,
        choices=choices,
        columns=preferences.COLUMNS,
        stalled_seconds=stalled if stalled and stalled > settings().stalled_minutes * 60 else None,
        is_first=cursor is None,
        letters=letters,
        signed=signed,
        just_signed=just_signed,
        intake_key=None,
        sending=partial(sending_facts, request),
    )


@router.post("/worklist/key")
def make_intake_key(
    request: Request, form: Posted, caller: Annotated[Caller, require(Permission.MANAGE_PEOPLE)]
) -> Response:
    """Makes a key that may send and nothing else, and shows it, with the lines to send by, this once."""
    press = press_of(request, form)
    with transaction() as session:
        name = f"sender {local(datetime.now(UTC)):%Y-%m-%d %H.%M.%S}"
        key = keys.add_key(session, name=name, scopes=[Scope.INTAKE], by=caller.actor, press=press)
    sending = partial(sending_facts, request)
    return page(request, "intake_key.html", caller=caller, sending=sending, intake_key=key)


@router.get("/worklist/rows")
def rows(
    request: Request,
    caller: _Watcher,
    ids: Annotated[list[UUID], Query(alias="id", max_length=_ROWS_AT_ONCE)],
) -> Response:
    """The rows of these studies as they are now, by id: `{html, rank, open, signed}`; unknown ones left out.
    And what is asked of the reader, and `now`, by which the waits on the page that asks age.

    `open`: it is unsigned and passes the filter of the page that asks.
    """
    where, to, moment = _filter(request), caller.actor, now()
    with transaction() as session:
        entries = worklist.entries(session, study_ids=ids, to=to)
        counts = worklist.counts(session, due_before=_due_before(moment), where=where, to=to)
        passing = worklist.passing(session, study_ids=ids, where=where, to=to)
        letters = correspondence(session, who=to)
    answer = {
        "now": moment.isoformat(),
        "rows": {
            str(entry.study_id): _row(entry, caller, passes=entry.study_id in passing) for entry in entries
        },
        "asked": fragment("asked.html", letters=letters),
        "unsigned": counts.unsigned,
        "unread": counts.unread_by_network,
        "due": counts.due_now,
    }
    return Response(json.dumps(answer), media_type="application/json")


@router.post("/worklist/search")
def search(request: Request, form: Posted, caller: _Reader) -> Response:
    """Studies of a patient, accession number or name. Posted, so that no patient data enter an address; that
    somebody searched is on record, and what for is not.
    """
    text = form.text("text")
    with transaction() as session:
        shown = worklist.search(session, text=text, to=caller.actor)
        found = len(shown.entries)
        audit.record(session, action="studies.searched", by=caller.actor, level="page", found=found)
        choices = kept.of_user(session, user_id=caller.actor.id)
    return page(request, "search.html", caller=caller, entries=shown.entries, text=text, choices=choices)


@router.post("/worklist/views")
def save_view(form: Posted, caller: _Reader) -> Response:
    """The filter is kept under a name, for this reader."""
    query = _filter_in(form).query()
    with transaction() as session:
        preferences.save_view(session, by=caller.actor, name=form.text("name"), query=query)
    return see(f"/?{query}")


@router.post("/worklist/views/forget")
def forget_view(form: Posted, caller: _Reader) -> Response:
    """The view is no longer kept; the list is as it was."""
    shown = _list_of(form)
    with transaction() as session:
        preferences.forget_view(session, by=caller.actor, name=form.text("name"))
    return see(shown)


@router.post("/worklist/columns")
def choose_columns(form: Posted, caller: _Reader) -> Response:
    """This reader's worklist shows these columns."""
    shown = _list_of(form)
    with transaction() as session:
        preferences.choose_columns(session, by=caller.actor, columns=form.texts("columns"))
    return see(shown)


def _filter(request: Request) -> WorklistFilter:
    return filter_of({name: request.query_params.get(name, "") for name in WorklistFilter.names()})


def _filter_in(form: Form) -> WorklistFilter:
    return filter_of({name: form.text(name) for name in WorklistFilter.names()})


def _list_of(form: Form) -> str:
    """The address of the list on which the form stood. Raises BadRequest for what is no filter's value."""
    query = _filter_in(form).query(section="done" if form.text("section") == "done" else None)
    return f"/?{query}" if query else "/"


def _named(section: Section) -> str | None:
    return None if section == "unsigned" else section


def _due_before(moment: datetime) -> datetime:
    """What is placed before this stands under *now* at that moment: it came, or counts as having come, as
    long ago as a study is moved forward when the network rules a finding in.
    """
    return moment - settings().credits.rule_in


def _midnight() -> datetime:
    return local(datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)


def _row(entry: WorklistEntry, caller: Caller, *, passes: bool) -> dict[str, str | bool | None]:
    return {
        "html": fragment("worklist_row.html", entry=entry, caller=caller),
        "rank": entry.rank_at.isoformat() if entry.rank_at else None,
        "open": passes,
        "signed": entry.state in (State.SIGNED, State.AMENDED),
    }
