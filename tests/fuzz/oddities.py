"""Pages, forms and headers that no browser sends: keys, cookies, cursors, ranges, accepts, forms, zips."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.routing import iter_route_contexts

from app.blobs import Blobs
from app.errors import Problem
from app.settings import settings
from tests.fuzz.findings import Findings
from tests.fuzz.mutating import mutate
from tests.fuzz.world import EVERYTHING, NOBODY, World
from worker.learning.unpack import Limits, ZipRefused, unpack

_ENDS_THE_SESSION = ("/sign-out", "/password")
_ODD = (
    "",
    " ",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
    "null",
    "true",
    "[]",
    "{}",
    "%",
    "%00",
    "\x01",
    "\u202e",
    "é",
    "\ufeff",
    "\ud83e\ude7b",
    "a" * 300,
    "a" * 70_000,
    "../..",
    "//evil.test/",
    "\\\\evil.test",
    "javascript:alert(1)",
    "'\"><script>",
    "0001-01-01",
    "9999-12-31T23:59:59+14:00",
    "20260230",
    "NaN",
    "1/0",
    "pneumonia",
    "present",
    "bystander",
    "STAT",
    "00000000-0000-4000-8000-000000000000",
    "eyJhbGciOiJub25lIn0.e30.",
    "*",
    "?",
    "a,b,,c",
    "-",
    "2026-11-22",
    "1.2.3",
)
_NAMES = (
    "q",
    "cursor",
    "before",
    "after",
    "size",
    "next",
    "page",
    "query",
    "name",
    "revision",
    "comment",
    "pneumonia",
    "finding.pneumonia",
    "confirm",
    "marks",
    "reason",
    "held_since",
    "username",
    "password",
    "new",
    "again",
    "roles",
    "scopes",
    "url",
    "decision",
    "columns",
    "view",
    "study",
    "study_id",
    "text",
    "language",
    "share",
    "people",
    "choice",
    "resolution",
    "days",
    "label",
    "kind",
    "to",
    "question",
    "from",
    "until",
    "actor",
    "action",
    "csrf_token",
    "blind",
)
_RANGES = (
    "bytes=0-",
    "bytes=-1",
    "bytes=5-2",
    "bytes=999999999999-",
    "bytes=0-0,2-3,1-9",
    "bytes=",
    "bytes=a-b",
    "octets=0-1",
    "bytes=0-18446744073709551616",
    "bytes=" + ",".join(["0-1"] * 2000),
    "bytes=-0",
    "bytes=--1",
    "0-1",
    "bytes=0-1\x01",
)
_ACCEPTS = (
    "",
    "*/*",
    "image/*",
    ";q=",
    "application/dicom; transfer-syntax=1.2",
    'multipart/related; type="',
    ",,,,",
    "text/html;q=2",
    "a" * 9000,
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    "image/jpeg;q=0",
    "application/dicom+json;charset=x",
    "é/è",
    'multipart/related; type="image/jls"',
    "application/*;level=1;q=0.5,*/*",
)
_CREDENTIALS = (
    "Bearer",
    "Bearer ",
    "Bearer fr_",
    "Bearer fr_" + "a" * 5000,
    "Bearer \x00",
    "Basic",
    "Basic !!!",
    "Basic OjpmcnM6",
    "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    "Digest x",
    "bearer fr_é",
    "Bearer a.b.c",
    "Bearer a b c",
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
    "",
    "\x7f" * 40,
)
_HEADERS: dict[str, tuple[str, ...]] = {
    "Range": _RANGES,
    "If-Range": _ODD,
    "If-None-Match": (*_ODD, '"', "W/", '"a","b"'),
    "If-Modified-Since": _ODD,
    "Accept": _ACCEPTS,
    "Accept-Language": ("zh-Hans;q=é", "zz-" * 900, "en;q=-1", "*;q=nan", ",", "zh_CN"),
    "Authorization": _CREDENTIALS,
    "Cookie": (*tuple(f"firstread_session={odd}" for odd in _ODD), "=;=;", "a" * 9000, "firstread_session"),
    "Content-Type": (
        "",
        "application/json; charset=x",
        "multipart/form-data; boundary=",
        "text/plain",
        "a/b/c",
        ";",
    ),
    "Content-Length": ("-1", "1e3", "99999999999999999999", "é"),
    "Last-Event-ID": _ODD,
    "X-CSRF-Token": _ODD,
    "X-Request-ID": (*_ODD, "a\tb"),
    "Origin": (*_ODD, "http://[", "null", "http://evil.test"),
    "Referer": (*_ODD, "http://[::1", "http://firstread.test/studies/x"),
    "Sec-Fetch-Site": _ODD,
    "HX-Request": ("true", "é"),
    "HX-Current-URL": (*_ODD, "http://["),
    "Host": ("", "evil.test", "[::1", "a" * 5000),
    "Forwarded": ("for=é", "for=[::1"),
    "X-Forwarded-For": ("é", "1.2.3.4, " * 500),
    "Purpose": ("prefetch",),
    "Transfer-Encoding": ("gzip",),
    "Content-Encoding": ("gzip", "é"),
}


def _cursor(value: Any) -> str:
    """As `app.queries.cursor` writes them, so that what it holds is looked at."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


_UUID = "00000000-0000-4000-8000-000000000000"
_CURSORS = tuple(
    _cursor(value)
    for value in (
        ["2026-11-22T00:00:00+00:00", _UUID],
        ["0001-01-01T00:00:00+14:00", _UUID],
        ["9999-12-31T23:59:59-14:00", _UUID],
        ["2026-11-22T00:00:00", _UUID],
        ["2026-11-22T00:00:00+00:00", "0"],
        ["2026-11-22T00:00:00+23:59", 5],
        [None, None],
        [[], {}],
        {"0": 1, "1": 2},
        "ab",
        7,
        [10**30, _UUID],
        [1, 2, 3],
    )
)
_OF_CURSORS = ("cursor", "before", "after", "from", "until", "next")


def fuzz_oddities(world: World, findings: Findings, *, cases: int) -> None:
    """Every route, also those of pages, with odd values in address, form and headers; a tenth are zips."""
    rng = random.Random(findings.seed)
    app: Any = world.client.app
    routes = sorted(
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if context.path not in _ENDS_THE_SESSION
    )
    asked = 0
    for number in range(cases):
        if number % 10 == 9:
            _zip(findings, rng, f"zip {number}")
        else:
            route = routes[asked] if asked < len(routes) else rng.choice(routes)
            asked += 1
            _odd_request(world, findings, rng, route)


def _odd_request(world: World, findings: Findings, rng: random.Random, route: str) -> None:
    method, _, path = route.partition(" ")
    for name in re.findall(r"\{(\w+)(?::\w+)?\}", path):
        known = world.known.get(name, ["00000000-0000-4000-8000-000000000000"])
        value = rng.choice(known) if rng.random() < 0.85 else _in_address(rng.choice(_ODD))
        path = re.sub(rf"\{{{name}(:\w+)?\}}", value.replace("\\", r"\\"), path)
    asked = [(rng.choice(_NAMES), rng.choice(_ODD)) for _ in range(rng.choice((0, 0, 1, 3)))]
    if rng.random() < 0.3:
        asked.append((rng.choice(_OF_CURSORS), rng.choice(_CURSORS)))
    query = "&".join(f"{name}={_in_address(value)}" for name, value in asked)
    headers = {
        name: rng.choice(values).encode("utf-8", "replace")
        for name, values in rng.sample(sorted(_HEADERS.items()), rng.choice((0, 1, 1, 2)))
    }
    request: dict[str, Any] = {}
    if method != "GET":
        fields = {rng.choice(_NAMES): _sendable(rng.choice(_ODD)) for _ in range(rng.choice((0, 1, 4, 9)))}
        how = rng.randrange(4)
        if how <= 1:
            request["data"] = fields
        elif how == 2:
            request["json"] = rng.choice((fields, [], None, "x", 1e300, [[[[[]]]]], {"revision": {}}))
        else:
            request["content"] = rng.choice((b"\xff\xfe", b"{", b"[" * 90_000, b"a=%zz&=&&", b"\0" * 300))
    caller = EVERYTHING if rng.random() < 0.7 else rng.choice(sorted(world.callers))
    if caller == EVERYTHING:
        headers = {n: v for n, v in headers.items() if n not in ("Cookie", "Authorization", "X-CSRF-Token")}
    if caller == NOBODY and rng.random() < 0.7:
        headers[rng.choice(("Authorization", "Cookie"))] = rng.choice(_CREDENTIALS).encode("utf-8", "replace")
    address = f"{path}?{query}" if query else path
    with findings.case("odd requests", f"{route} by {caller}"):
        answer = world.ask(caller, method, address, headers=headers, **request)
        findings.outcomes[str(answer.status_code)] += 1
        if answer.status_code >= 500 and path != "/readyz":
            said = {
                "address": address[:300],
                "headers": headers,
                **{k: repr(v)[:300] for k, v in request.items()},
            }
            findings.fault(f"{route} by {caller}", f"{answer.status_code} for {said}", answer.content)


def _sendable(value: str) -> str:
    """The text as a form can carry it."""
    return value.encode("utf-8", "replace").decode()


def _in_address(value: str) -> str:
    return quote(_sendable(value[:2000]), safe="")


def _zip(findings: Findings, rng: random.Random, label: str) -> None:
    """A mutated zip, or a bomb, to be unpacked as a dataset: refused in a sentence, or every file kept."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as opened:
        for number in range(rng.choice((1, 3, 40))):
            name = rng.choice(
                (
                    f"{number}.png",
                    "../up.png",
                    "/root.png",
                    "a\\b.png",
                    "a/" * 90 + "b",
                    "é\u202e.png",
                    "a.zip",
                )
            )
            opened.writestr(name, b"\0" * rng.choice((0, 10, 5000, 3_000_000)))
    data = made.getvalue()
    if rng.random() < 0.8:
        _, data = mutate(rng, data)
    path = Path(findings.folder / "sent.zip")
    path.write_bytes(data)
    limits = Limits(files=30, file_bytes=4_000_000, total_bytes=20_000_000)
    with findings.case("zips", label):
        try:
            kept = unpack(path, name="sent.zip", blobs=Blobs(settings().blob_folder), limits=limits)
            assert len(kept) <= limits.files and sum(file.byte_size for file in kept) <= limits.total_bytes
            findings.outcomes["zip unpacked"] += 1
        except (ZipRefused, Problem):
            findings.outcomes["zip refused"] += 1
