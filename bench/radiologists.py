"""Radiologists at a bench's service: clients that sign in and ask for what a browser asks for.

A reader looks at the worklist, whose rows are renewed live (in turn all of it and what the network has
screened), opens a study that the network has read, looks at its pictures and signs, which leads to the next
study; or leaves it with nothing done and goes back to the list. What a colleague holds is looked at and left
alone. Styles and scripts are not asked for: a browser keeps them.
"""

from __future__ import annotations

import json
import random
import re
import time
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

import httpx

from bench.crowds import Client, Heard
from bench.service import ADMIN_PASSWORD, Service

WORKLIST, ROWS, STUDY = "page: worklist", "rows of a live worklist", "page: study"
PREVIEW, FULL_DEPTH = "picture: preview", "picture: full depth"
_ON_THE_LIST = (0.5, 2.0)
"""Seconds a reader looks at the worklist."""
_ON_A_STUDY = (5.0, 15.0)
"""Seconds a reader looks at a radiograph: far fewer than most take, so that fifty are a large hospital's."""
_SIGNED = 0.75
"""Share of the studies looked at that are signed."""
_RENEWED, _RESTS, _LONGEST = 0.25, 9, 10.0
"""Seconds after which a live worklist asks for the rows of which it has heard, and how many times as long as
the last answer took, up to the longest (`js/pace.js`)."""
_READ_BY_NETWORK = ("screened", "withheld")
_JSON = {"Accept": "application/json"}
_PASSWORD = "a reader of this bench"
_ROW = re.compile(r'<tr [^>]*data-study="([^"]+)"[^>]*data-state="([^"]+)"')
_ROOM = r'<main id="content"([^>]*)>'
_STATE = r' data-state="([^"]+)"'
_PICTURES = r'<script type="application/json" id="study-images">(.*?)</script>'


def signed_in(service: Service, count: int) -> list[dict[str, str]]:
    """The headers of so many radiologists, each made by the administrator and signed in as anybody is."""
    who = []
    with httpx.Client(base_url=service.url, timeout=120) as admin:
        _post(admin, "/sign-in", username="admin", password=ADMIN_PASSWORD)
        for number in range(count):
            name = f"reader-{number}"
            _, once = _post(admin, "/people/users", username=name, roles="radiologist").split(
                'class="secret">'
            )
            once = once.partition("<")[0]
            with httpx.Client(base_url=service.url, timeout=120) as person:
                _post(person, "/sign-in", username=name, password=once)
                _post(person, "/password", current=once, new=_PASSWORD, again=_PASSWORD)
                cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
                who.append({"Cookie": cookies, "Accept": "text/html"})
    return who


def _post(client: httpx.Client, address: str, **fields: str) -> str:
    """The page that the form leads to."""
    page = client.get("/people" if address == "/people/users" else address)
    token = re.search(r'name="csrf_token" value="([^"]*)"', page.text)
    sent = fields | ({"csrf_token": token[1]} if token else {})
    answer = client.post(address, data=sent, follow_redirects=True)
    if (page.status_code, answer.status_code) != (200, 200):
        words = re.sub(r"\s+|<[^>]+>", " ", page.text if page.is_error else answer.text)
        raise RuntimeError(f"{address}: {page.status_code} and {answer.status_code}: {words}")
    return answer.text


def read(client: Client, _fresh: object, heard: Heard, stop: Any) -> None:
    """The worklist and its studies, until `stop`; each reader sees the list and a study once at least."""
    reader = _Reader(client, heard, stop)
    while True:
        study = reader.chosen()
        while study is not None:
            study = reader.next_after(study)
        if stop.is_set():
            return


class _Reader:
    def __init__(self, client: Client, heard: Heard, stop: Any) -> None:
        self._client, self._heard, self._stop = client, heard, stop
        self._draw = random.Random()
        # Where many are unread, those are what the whole list begins with.
        self._views = cycle(([("state", "screened")], []))

    def chosen(self) -> str | None:
        """The address of a study on the worklist, after a look at it; None where none can be read."""
        where = next(self._views)
        page = self._asked(WORKLIST, f"/?{urlencode(where)}").decode()
        rows = _ROW.findall(page)
        shown = urlencode([*where, *(("id", study) for study, _ in rows)])
        until = time.monotonic() + self._draw.uniform(*_ON_THE_LIST)
        rest = _RENEWED
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(rest, left)):
            if rows and rest <= left:
                began = time.monotonic()
                self._asked(ROWS, f"/worklist/rows?{shown}", headers=_JSON)
                rest = min(max(_RENEWED, _RESTS * (time.monotonic() - began)), _LONGEST)
        read = [study for study, state in rows if state in _READ_BY_NETWORK]
        return f"/studies/{self._draw.choice(read)}" if read else None

    def next_after(self, address: str) -> str | None:
        """Where signing the study leads, after a look at it; None where it is left unsigned."""
        page = self._asked(STUDY, address).decode()
        if not page:
            return None
        room, study = _found(_ROOM, page), address.partition("?")[0]
        if _found(_STATE, room) not in _READ_BY_NETWORK:
            return None
        self._asked("draft of a study", f"{study}/draft", headers=_JSON)
        for picture in json.loads(_found(_PICTURES, page)):
            self._asked(PREVIEW, picture["preview"])
            self._asked(FULL_DEPTH, picture["pixels"], headers={"Accept-Encoding": "gzip"})
            self._asked("picture: how to show it", picture["info"])
        form = {"csrf_token": _hidden(page, "csrf_token")}
        opened = self._asked("opening a study", f"{study}/opened", form) if "data-claims" in room else b""
        held_until = json.loads(opened or b"{}").get("held_until")
        self._stop.wait(self._draw.uniform(*_ON_A_STUDY))
        if held_until is None:  # a colleague was quicker
            return None
        if self._stop.is_set() or self._draw.random() > _SIGNED:
            self._asked("leaving a study", f"{study}/left", form | {"held_until": held_until}, expected=204)
            return None
        form |= {name: _hidden(page, name) for name in ("revision", "shown_at")} | {"action": "correct"}
        form |= dict.fromkeys(re.findall(r'name="(finding:[^"]+)"', page), "absent")
        onwards = self._asked("signing", f"{study}/review", form, expected=303).decode()
        return onwards if onwards.startswith("/studies/") else None

    def _asked(
        self,
        what: str,
        path: str,
        fields: dict[str, str] | None = None,
        *,
        expected: int = 200,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """The body, or where a redirection leads; empty where that was not to be had, which is counted."""
        method, body = "GET", None
        if fields is not None:
            method, body = "POST", urlencode(fields).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._client.until_served(self._heard, what, method, path, body, **(headers or {}))
        if answer is None:
            return b""
        if answer.status != expected:
            self._heard.wrong[f"{what}: {answer.status}"] += 1
            return b""
        return answer.location.encode() if answer.location else answer.body


def _found(what: str, page: str) -> str:
    found = re.search(what, page, re.DOTALL)
    if found is None:
        raise ValueError(f"the page lacks {what}")
    return found[1]


def _hidden(page: str, name: str) -> str:
    return _found(rf'name="{name}" value="([^"]*)"', page)
