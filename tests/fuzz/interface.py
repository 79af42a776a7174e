"""Requests that schemathesis makes of the OpenAPI document, good and bad, by every role, scope and nobody."""

from __future__ import annotations

import json
import random
from itertools import cycle, islice
from typing import Any
from urllib.parse import quote

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as drawing
from schemathesis import GenerationMode

from app.web.openapi import describe
from tests.fuzz.findings import Findings
from tests.fuzz.world import EVERYTHING, NOBODY, World

_SHARE_OF_KNOWN = 0.7
"""Of the places in an address, those that get a real value: what does not exist is soon answered."""


@schemathesis.serializer("multipart/related", "application/dicom")
def _as_bytes(_context: Any, value: Any) -> Any:
    """What STOW-RS takes has no structure here: `tests.fuzz.doors` sends it real and damaged files."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def fuzz_interface(world: World, findings: Findings, *, cases: int) -> set[tuple[str, str]]:
    """Every operation has its share of the cases; the callers take turns, whoever may do everything each
    second time. Returns each operation with each caller who had no answer of it.
    """
    app: Any = world.client.app
    operations = [found.ok() for found in schemathesis.openapi.from_dict(describe(app)).get_all_operations()]
    rng = random.Random(findings.seed)
    rng.shuffle(operations)
    callers = [name for name in world.callers if name not in (EVERYTHING,)]
    unasked = {(operation.label, caller) for operation in operations for caller in world.callers}
    turn = 0
    for place, operation in enumerate(operations):
        share = cases // len(operations) + (place < cases % len(operations))
        for number, (mode, drawn) in enumerate(_requests(operation, share, rng, findings.seed + place)):
            caller = EVERYTHING if number % 2 == 0 else callers[turn % len(callers)]
            turn += number % 2
            if _ask(world, findings, rng, caller, operation, mode, drawn):
                unasked.discard((operation.label, caller))
    return unasked


def _requests(operation: Any, share: int, rng: random.Random, start: int) -> list[tuple[GenerationMode, Any]]:
    """Exactly so many: where fewer can differ, as where nothing can be wrong, they come again."""
    drawn = [
        (mode, request)
        for mode, count in (
            (GenerationMode.POSITIVE, (share + 1) // 2),
            (GenerationMode.NEGATIVE, share // 2),
        )
        for request in _drawn(operation, mode, count, start)
    ]
    requests = list(islice(cycle(drawn), share))
    rng.shuffle(requests)
    return requests


def _drawn(operation: Any, mode: GenerationMode, count: int, start: int) -> list[Any]:
    """So many requests; fewer where an operation has nothing that could be wrong."""
    cases: list[Any] = []
    if count == 0:
        return cases

    @seed(start)
    @given(case=operation.as_strategy(generation_mode=mode))
    @drawing(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def draw(case: Any) -> None:
        cases.append(case)

    try:
        draw()
    except Exception as error:  # schemathesis raises its own kinds where nothing can be wrong
        if mode is GenerationMode.POSITIVE:
            raise RuntimeError(f"{operation.label}: no request could be drawn") from error
    return cases[:count]


def _ask(
    world: World,
    findings: Findings,
    rng: random.Random,
    caller: str,
    operation: Any,
    mode: GenerationMode,
    drawn: Any,
) -> bool:
    """Whether there was an answer."""
    sent = drawn.as_transport_kwargs(base_url="http://firstread.test")
    path = operation.path
    for name, value in (drawn.path_parameters or {}).items():
        known = world.known.get(name)
        real = known and (mode is GenerationMode.POSITIVE or rng.random() < _SHARE_OF_KNOWN)
        path = path.replace(f"{{{name}}}", rng.choice(known) if real and known else _quoted(value))
    request = {"json": sent["json"]} if sent.get("json") is not None else {}
    if sent.get("files") is not None:
        request["files"] = [(_plain(field), _part(value)) for field, value in sent["files"]]
    if sent.get("data") is not None:
        data = sent["data"]
        request["data" if isinstance(data, dict) else "content"] = data
    request["params"] = {name: _plain(value) for name, value in (drawn.query or {}).items()}
    headers = {
        name: str(value).encode("latin-1", "replace")
        for name, value in (drawn.headers or {}).items()
        if name.lower() not in ("authorization", "content-length", "host") or caller == NOBODY
    }
    label = f"{operation.method.upper()} {operation.path} by {caller}"
    with findings.case(f"{mode.value} requests", label):
        try:
            answer = world.ask(caller, operation.method.upper(), path, headers=headers, **request)
        except (UnicodeEncodeError, ValueError, TypeError) as error:
            if "httpx" not in _module_of(error):
                raise
            findings.outcomes["could not be sent"] += 1
            return False
        findings.outcomes[f"{answer.status_code}"] += 1
        if answer.status_code >= 500:
            said = json.dumps({"path": path, **{k: repr(v)[:500] for k, v in request.items()}})
            findings.fault(label, f"{answer.status_code} for {said}", answer.content)
        return True
    return False


def _module_of(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame.tb_frame.f_globals.get("__name__", "") if frame else ""


def _quoted(value: Any) -> str:
    return quote(str(value).encode("utf-8", "replace"), safe="")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    return json.dumps(value)


def _part(value: Any) -> Any:
    """One part of a form: its file name, if it has one, and its bytes."""
    name, content, *_ = value if isinstance(value, tuple) else (None, value)
    return name and _plain(name), content if isinstance(content, bytes) else str(content).encode(
        "utf-8", "replace"
    )
