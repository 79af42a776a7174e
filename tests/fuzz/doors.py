"""Mutated files, each third through the real doors, and whatever is let in through decoders, gate, network
and pages.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.commands.stored_header import header_as_json
from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import DICOM, read_header
from app.dicom.reference import sop_reference
from app.domain.states import Outcome
from app.errors import Problem
from app.settings import Settings
from models.bundle import Bundle
from tests.fuzz.files import bombs, corpus
from tests.fuzz.findings import Findings
from tests.fuzz.mutating import mutate
from tests.fuzz.world import EVERYTHING, World
from worker.screen import Batch, ImageFile

DECODER_BYTES = 512 * 2**20
"""What one image may take of a decoder's memory here."""
DECODER_SECONDS: float = Settings.model_fields["decoder_timeout"].default
"""What one image may take of a decoder's time by the clock, as in production: longer is a fault."""
_LOT = 16
_BY_A_DOOR = 0.3


@dataclass
class _Let:
    """A file that was let in."""

    label: str
    data: bytes
    path: Path


def fuzz_files(world: World, bundle: Bundle, findings: Findings, *, cases: int) -> None:
    """So many files, every bomb among them, posted and, where they are let in, read by all who would."""
    rng = random.Random(findings.seed)
    waiting: list[_Let] = []
    with DecoderPool(processes=2, seconds=DECODER_SECONDS, memory_bytes=DECODER_BYTES) as pool:
        for number in range(cases):
            if number < len(bombs()):
                (name, data), kind = bombs()[number], "a bomb"
            else:
                name, whole = rng.choice(corpus())
                kind, data = mutate(rng, whole)
            label = f"case {number} ({name}: {kind})"
            if kind == "a bomb" or rng.random() < _BY_A_DOOR:
                let = _post(world, findings, rng, kind, label, data)
            else:
                let = _read(findings, kind, label, data)
            if let is not None:
                waiting.append(let)
            if len(waiting) == _LOT or (number == cases - 1 and waiting):
                _screen(findings, pool, bundle, waiting)
                waiting = []


def _post(
    world: World, findings: Findings, rng: random.Random, kind: str, label: str, data: bytes
) -> _Let | None:
    """The file where it was let in and can be read back; every answer is looked at."""
    door = rng.choice(("rest", "stow", "stow"))
    body, content_type = _rest(data) if door == "rest" else _stow(data)
    if rng.random() < 0.15:
        kind = f"{door}'s multipart"
        body, content_type = _torn_multipart(rng, body, content_type)
    path = "/api/v1/studies" if door == "rest" else "/dicomweb/studies"
    stored: tuple[str, str] | None = None
    with findings.case(kind, label):
        answer = world.ask(
            EVERYTHING,
            "POST",
            path,
            content=body,
            headers={"Content-Type": content_type.encode("latin-1")},
        )
        findings.outcomes[f"{door} {answer.status_code}"] += 1
        if answer.status_code >= 500:
            findings.fault(label, f"POST {path} answered {answer.status_code}", data)
        elif answer.status_code in (200, 202):
            stored = _stored(world, door, answer)
            for address, accept in _readers(rng, *stored):
                read = world.ask(EVERYTHING, "GET", address, headers={"Accept": accept})
                findings.outcomes["read back"] += 1
                if read.status_code >= 500:
                    route = re.sub(r"[0-9a-f-]{36}|[0-9.]{9,}", "...", address)
                    findings.fault(label, f"GET {route} as {accept} answered {read.status_code}", data)
    return None if stored is None else _kept(findings, label, data)


def _read(findings: Findings, kind: str, label: str, data: bytes) -> _Let | None:
    """The file where its header can be read, which is all that a door does before it stores it."""
    let = _kept(findings, label, data)
    with findings.case(kind, label):
        try:
            json.dumps(header_as_json(read_header(let.path)), allow_nan=False)
            findings.outcomes["header read"] += 1
            return let
        except Problem as problem:
            assert problem.status < 500, problem
            findings.outcomes["header refused"] += 1
            sop_reference(let.path)
    let.path.unlink()
    return None


def _kept(findings: Findings, label: str, data: bytes) -> _Let:
    path = findings.folder / f"{uuid4().hex}.let"
    path.write_bytes(data)
    return _Let(label, data, path)


def _rest(data: bytes) -> tuple[bytes, str]:
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\n'
    return head + data + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def _stow(data: bytes) -> tuple[bytes, str]:
    head = b"--edge\r\nContent-Type: application/dicom\r\n\r\n"
    return head + data + b"\r\n--edge--\r\n", 'multipart/related; type="application/dicom"; boundary=edge'


def _torn_multipart(rng: random.Random, body: bytes, content_type: str) -> tuple[bytes, str]:
    head, _, rest = body.partition(b"\r\n\r\n")
    ways: list[Callable[[], tuple[bytes, str]]] = [
        lambda: (body[: rng.randrange(len(body))], content_type),
        lambda: (head + b"\r\n" + rest, content_type),
        lambda: (head + b"\r\nX: " + b"y" * 70_000 + b"\r\n\r\n" + rest, content_type),
        lambda: (head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + rest, content_type),
        lambda: (b"preamble\r\n" + body + b"epilogue", content_type),
        lambda: (body.replace(b"--edge--", b"--edge"), content_type),
        lambda: (body.replace(b"\r\n", b"\n"), content_type),
        lambda: ((head + b"\r\n\r\n") * 300 + rest, content_type),
        lambda: (
            body,
            content_type.replace("edge", rng.choice(("", '""', "e" * 300, "\u00e9dge", "edge; x=y"))),
        ),
        lambda: (body, rng.choice(("multipart/related", "application/dicom", "text/plain", "", ";;;=,"))),
        lambda: (head.replace(b'name="files"', b'name="\xff\xfe\0"') + b"\r\n\r\n" + rest, content_type),
        lambda: (b"", content_type),
    ]
    return rng.choice(ways)()


def _stored(world: World, door: str, answer: Any) -> tuple[str, str]:
    """Where the study is, by UID and by number."""
    if door == "rest":
        study = answer.json()["studies"][0]
        return study["study_instance_uid"], study["id"]
    address = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    uid = re.search(r"/studies/([^/?]+)", address)
    assert uid, address
    found = world.ask(EVERYTHING, "GET", "/api/v1/studies", params={"study_instance_uid": uid[1]}).json()
    return uid[1], found["studies"][0]["id"]


def _readers(rng: random.Random, uid: str, study: str) -> list[tuple[str, str]]:
    """What is asked of a study, and in which form; a few of them each time."""
    UUID(study)
    every = [
        (f"/api/v1/studies/{study}", "application/json"),
        (f"/studies/{study}", "text/html"),
        ("/", "text/html"),
        (f"/dicomweb/studies/{uid}/metadata", "application/dicom+json"),
        (f"/dicomweb/studies/{uid}/metadata", 'multipart/related; type="application/dicom+xml"'),
        (f"/dicomweb/studies?StudyInstanceUID={uid}&includefield=all", "application/dicom+json"),
        (f"/dicomweb/studies/{uid}", 'multipart/related; type="application/dicom"'),
        (f"/dicomweb/studies/{uid}/instances?includefield=all", "application/dicom+json"),
    ]
    return rng.sample(every, 2)


def _screen(findings: Findings, pool: DecoderPool, bundle: Bundle, waiting: list[_Let]) -> None:
    """What a worker does with a batch: the gate, the decoders and the network; each image has an outcome."""
    label = f"{waiting[0].label} to {waiting[-1].label}"
    before = pool.child_ids()
    with findings.case("batches screened", label, counts=False):
        files = [
            ImageFile(path=let.path, header=(header := read_header(let.path)), door=_kind(header.media_type))
            for let in waiting
        ]
        for let, screened in zip(
            waiting, Batch(files, pool=pool, bundle=bundle, preview_side=512).screen(), strict=True
        ):
            findings.outcomes[f"screening: {screened.outcome.value}"] += 1
            reason = screened.reason or ""
            if screened.outcome is Outcome.FAILED:
                findings.outcomes[f"failed: {_short(reason)}"] += 1
            if "took longer" in reason or screened.retry_helps or "The network broke" in reason:
                findings.fault(let.label, reason, let.data)
    findings.outcomes["decoder children replaced"] += len(set(before) - set(pool.child_ids()))
    for let in waiting:
        let.path.unlink()


def _kind(media_type: str) -> Any:
    return "dicom" if media_type == DICOM else "file"


def _short(reason: str) -> str:
    """A sentence without what is this image's alone."""
    return re.sub(r"\d[\d,.]*", "N", reason)[:70]
