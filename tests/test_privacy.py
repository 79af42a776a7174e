"""After a whole story with marked names, nothing but the database, the stored files and the pages knows them.

Web server, DICOM listener, workers and both servers run as they do in a hospital, and a destination is sent
what was read; the story goes right and wrong on purpose, and ends with a backup, a study whose time is over
and a deletion, after which no row has what they took. By standard QIDO-RS has names in addresses, and what a
destination is sent has the patient in its body.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from redis import Redis
from sqlalchemy import select, update
from structlog.testing import capture_logs
from typer.testing import CliRunner

from app.blobs import Blobs
from app.cli import cli
from app.commands import delivery, retention
from app.domain.roles import SYSTEM, Role, Scope
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.records import AuditEvent, Delivery, Image, SiteChoice, Study
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from tests.builders import PASSWORD, a_dicom, a_key, a_png, a_user
from tests.collector_server import CollectorServer, collecting
from tests.rows import contents
from tests.served import Service, eventually, free_port, serving
from worker.deliver import Courier
from worker.sweep import Sweeper

MARKED = {
    "PatientName": "Namezqxmarked^Marked",
    "PatientID": "IDZQXMARKED-31415",
    "PatientBirthDate": "20211103",
    "AccessionNumber": "ACCZQXMARKED-92",
    "ReferringPhysicianName": "Doczqxmarked^Refers",
    "StudyDescription": "DESCZQXMARKED chest",
    "PatientComments": "COMZQXMARKED lives alone",
}
WORDS = "WORDZQXMARKED spoke with her mother"
OTHER = {"PatientName": "Otherzqxmarked", "PatientID": "OTHERzqxmarked"}
CONFLICT = "1.2.3.99"
GONE = (WORDS, *OTHER.values())
"""In the database until it is deleted: the words when their time is over, the other patient on request."""
# Long: a short one would be found in the base64 of what other tests have sent by the same broker.
_MARK = re.compile(rb"(?i)zqxmarked|20211103|2021-11-03|03 Nov 2021|3 Nov 2021")
_ADDRESS = re.compile(r'(?:href|src|action|data-[a-z-]*url)="([^"]*)"')


@pytest.fixture
def collector(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CollectorServer]:
    """Who is told of each image by every part of the service."""
    with collecting() as collector:
        monkeypatch.setenv("FIRSTREAD_TRACES_ENDPOINT", collector.endpoint)
        yield collector


def test_marked_names_are_in_no_log_address_metric_error_event_trail_or_trace(
    postgres: EmbeddedPostgres,
    valkey: EmbeddedValkey,
    database: str,
    broker: str,
    home: Path,
    collector: CollectorServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    port = free_port()
    monkeypatch.setenv("FIRSTREAD_DIMSE_PORT", str(port))
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST, Role.ADMINISTRATOR, Role.AUDITOR)
        key = a_key(session, "ct 1", *Scope)
    monkeypatch.setenv("FIRSTREAD_DESTINATION_RANGES", "127.0.0.0/8")
    settings.cache_clear()
    told = Told()
    with _receiving(told), serving(home, "worker", "duty", "dimse") as service:
        with service.client({"Authorization": f"Bearer {key}"}) as machine, service.client() as person:
            for client in (machine, person):
                client.event_hooks["response"].append(told.hear)
            events = threading.Thread(target=_listen, args=(service, key, told), daemon=True)
            events.start()
            studies = _send(machine)
            _send_by_dimse(port)
            _ask(machine)
            read = _read(person, machine, studies)
            eventually(lambda: b"event" in bytes(told.events))
            deliveries = eventually(lambda: _delivered(machine, person))
            assert isinstance(deliveries, str)
            backup = CliRunner().invoke(cli, ["backup", "--new", str(tmp_path / "backups")])
            assert backup.exit_code == 0, backup.output
            eventually(_all_read, seconds=60)
            assert {gone for gone in GONE if gone in _rows()} == set(GONE)
            eventually(_all_delivered, seconds=60)
            retained = _retain(read)
            proof = _delete(person)
            assert [gone for gone in GONE if gone in _rows()] == []
        metrics = httpx.get(f"{service.url}/metrics", headers={"Authorization": f"Bearer {key}"}).content
    assert len(told.addresses) > 100
    assert len(told.problems) >= 6, told.problems
    with transaction() as session:
        trail = [
            json.dumps([row.action, row.actor_name, row.subject_id, row.details], default=str)
            for row in session.scalars(select(AuditEvent))
        ]
    assert len(trail) > 10
    assert any("retention.applied" in event for event in trail)
    told_where = {
        "the log of the service": service.log.read_bytes(),
        "the log of the database": postgres.log.read_bytes(),
        "the broker": _everything(valkey),
        "the metrics": metrics,
        "an address": "\n".join(told.addresses).encode(),
        "an error": "\n".join(told.problems).encode(),
        "an event": bytes(told.events),
        "what leads to a destination": "\n".join(told.heads).encode(),
        "what is said of deliveries": deliveries.encode(),
        "the audit trail": "\n".join(trail).encode(),
        "what a backup says": backup.output.encode(),
        "what retention says": retained.encode(),
        "the proof of a deletion": proof.encode(),
        "a trace": b"".join(collector.bodies),
    }
    assert all(told_where.values()), "there was something to look at everywhere"
    found = {
        where: [what[max(0, hit.start() - 150) : hit.end() + 50] for hit in _MARK.finditer(what)][:3]
        for where, what in told_where.items()
        if _MARK.search(what)
    }
    assert not found
    parts = {"firstread-web", "firstread-screening", "firstread-dimse"}
    assert parts <= {span.service for span in collector.spans}
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if "trace_id" in line]
    traces = {span.trace for span in collector.spans}
    assert lines and all(line["trace_id"] in traces for line in lines)
    with transaction() as session:
        named = [*session.scalars(select(Image.sop_instance_uid)), *session.scalars(select(Image.sha256))]
        named += session.scalars(select(Study.study_instance_uid))
    assert [name for name in named if name.encode() in told_where["a trace"]] == []


class Told:
    """What clients were told outside of pages and answers meant to hold patients: addresses and problems."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.problems: list[str] = []
        self.events = bytearray()
        self.heads: list[str] = []

    def hear(self, answer: httpx.Response) -> None:
        answer.read()
        self.addresses.add(answer.headers["x-request-id"])
        self.addresses |= {answer.headers.get("location", ""), answer.headers.get("content-location", "")}
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html"):
            self.addresses |= set(_ADDRESS.findall(answer.text))
        if kind.startswith("application/problem+json"):
            self.problems.append(answer.text)
        assert answer.status_code < 500, answer.text


@contextmanager
def _receiving(told: Told) -> Iterator[None]:
    """There is a destination, whose answers repeat what it was sent; the first one refuses it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert _MARK.search(body), "a destination is sent the patient's study"
            status = 204 if told.heads else 500
            told.heads.append(f"{self.requestline}\n{self.headers}")
            self.send_response(status, f"Namezqxmarked {status}")
            self.send_header("X-Said", "Namezqxmarked")
            self.send_header("Content-Length", str(len(body) if status == 500 else 0))
            self.end_headers()
            if status == 500:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with transaction() as session:
        url = f"http://127.0.0.1:{server.server_port}/hook"
        delivery.add_destination(session, name="RIS", url=url, by=SYSTEM)
    yield
    server.shutdown()
    server.server_close()


def _delivered(machine: httpx.Client, person: httpx.Client) -> str | None:
    """What is said of the deliveries once one was refused and another has arrived."""
    answer = machine.get("/api/v1/deliveries")
    tried = [row for row in answer.json() if row["attempts"]]
    refused = any(row["last_error"] for row in tried)
    if not refused or all(row["state"] != "delivered" for row in tried):
        return None
    page = person.get("/destinations")
    assert page.status_code == 200
    return answer.text + page.text


def _all_delivered() -> bool:
    """Also what waits for another try, or for a signature to be final: until then its study is kept."""
    pending = Delivery.state == "pending"
    with transaction() as session:
        session.execute(update(Delivery).where(pending).values(not_before=now()))
    Courier(settings()).drain(stop=threading.Event())
    with transaction() as session:
        return not session.scalars(select(Delivery.id).where(pending)).all()


def _send(machine: httpx.Client) -> list[str]:
    """Radiographs of one marked patient by all ways in, and what is refused."""
    marked = [a_dicom(tags=MARKED) for _ in range(3)]
    cut = a_dicom(tags=MARKED)
    cut = cut[: len(cut) * 2 // 3]
    another = a_dicom(
        tags=MARKED | OTHER,
        study_instance_uid=CONFLICT,
    )
    same_study = a_dicom(tags=MARKED, study_instance_uid=CONFLICT)
    studies = []
    for data in (*marked, another, same_study, cut):
        answer = machine.post(
            "/api/v1/studies",
            files={"files": ("NAMEzqxmarked.dcm", data, "application/dicom")},
            headers={"X-Request-ID": MARKED["PatientID"]},
        )
        if answer.status_code < 300:
            studies += [study["id"] for study in answer.json()["studies"]]
    said = {"patient_id": MARKED["PatientID"], "patient_name": MARKED["PatientName"], "age": "zqxmarked"}
    machine.post("/api/v1/studies", files={"files": ("NAMEzqxmarked.png", a_png(), "image/png")}, data=said)
    said["age"] = "4"
    machine.post("/api/v1/studies", files={"files": ("NAMEzqxmarked.png", a_png(), "image/png")}, data=said)
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--x--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    for data in (a_dicom(tags=MARKED), cut, b"NAMEzqxmarked is no image"):
        machine.post("/dicomweb/studies", content=body % data, headers={"Content-Type": kind})
    return studies


def _send_by_dimse(port: int) -> None:
    """One more by C-STORE, and one that is refused."""
    good, bad = (dcmread(io.BytesIO(a_dicom(tags=MARKED))) for _ in range(2))
    del bad.PixelData
    ae = AE(ae_title="CT1")
    context = build_context(good.SOPClassUID, good.file_meta.TransferSyntaxUID)

    def associated() -> Association | None:
        made = ae.associate("127.0.0.1", port, contexts=[context], ae_title="FIRSTREAD")
        return made if made.is_established else None

    association = eventually(associated)
    assert isinstance(association, Association)
    statuses = [association.send_c_store(image).Status for image in (good, bad)]
    association.release()
    assert statuses[0] == 0 and statuses[1] != 0, statuses


def _retain(read: str) -> str:
    """The study was signed long ago, and the sweep has deleted it; what it says."""
    looked = {"at": (now() - timedelta(minutes=1)).isoformat(), "held_until": None}
    with transaction() as session:
        session.merge(SiteChoice(name=retention.LOOKED, value=looked, chosen_by_name="the tests"))
        session.execute(
            update(Study).where(Study.id == UUID(read)).values(signed_at=now() - timedelta(days=40))
        )
    asked = settings().model_copy(update={"retention_days": 30})
    with capture_logs() as said:
        assert Sweeper(asked, blobs=Blobs(asked.blob_folder)).delete() == 1
    with transaction() as session:
        assert session.get(Study, UUID(read)) is None
    return str(said)


def _rows() -> str:
    """Every row of every table."""
    with transaction() as session:
        return json.dumps([list(rows.values()) for rows in contents(session.connection()).values()])


def _delete(person: httpx.Client) -> str:
    """One of the patients is deleted by an administrator: first for a reason that names them; the proof."""
    page = person.get("/site/patients").text
    fields = {"csrf_token": _hidden(page, "csrf_token"), "patient_id": OTHER["PatientID"]}
    fields["seen"] = _hidden(person.post("/site/patients", data=fields).text, "seen")
    for reason, status in (("Otherzqxmarked wishes it", 422), ("Request 17 of 2026", 303)):
        sure = fields | {"sure": "1", "reason": reason}
        answer = person.post("/site/patients/delete", data=sure)
        assert answer.status_code == status, answer.text
    page = person.get("/site/patients").text
    proof = re.search(r'/site/patients/proofs/[^"]+', page)
    assert proof and "zqxmarked" not in page
    told = person.get(proof[0]).text
    assert '"images"' in told
    return told


def _all_read() -> bool:
    with transaction() as session:
        return not session.scalars(select(Study.id).where(Study.state.in_(("admitted", "screening")))).all()


def _ask(machine: httpx.Client) -> None:
    """A PACS searches by name, which the standard has in the address; ours are asked with nonsense."""
    for query in (
        "PatientName=Namezqxmarked*",
        "PatientID=IDZQXMARKED-31415&limit=zqxmarked",
        "PatientBirthDate=20211103zqxmarked",
    ):
        machine.get(f"/dicomweb/studies?{query}", headers={"Accept": "application/dicom+json"})
    machine.get("/dicomweb/studies/Namezqxmarked", headers={"X-Request-ID": "Namezqxmarked"})
    machine.get("/api/v1/studies/Namezqxmarked")
    machine.get("/api/v1/studies?cursor=Namezqxmarked")
    machine.post(
        "/api/v1/studies/Namezqxmarked/review",
        json={"comment": WORDS, "findings": {"zqxmarked": "zqxmarked"}},
    )
    machine.post("/api/v1/destinations", json={"name": "Namezqxmarked", "url": "Namezqxmarked"})


def _read(person: httpx.Client, machine: httpx.Client, studies: list[str]) -> str:
    """A radiologist signs in, searches, takes a study over, reads, mistypes, signs and amends: which one."""
    person.headers["Accept"] = "text/html"
    person.post("/sign-in", data={"username": "Namezqxmarked", "password": "zqxmarked"})
    person.post("/sign-in", data={"username": "alice", "password": PASSWORD})
    page = person.get("/").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    fields = {"csrf_token": token.group(1)}

    def post(address: str, **more: Any) -> httpx.Response:
        return person.post(address, data=fields | more, follow_redirects=True)

    for asked in ("Namezqxmarked", "IDZQXMARKED-31415", "ACCZQXMARKED-92"):
        found = post("/worklist/search", text=asked)
        assert "Namezqxmarked" in found.text
    read = eventually(_screened, seconds=60)
    assert isinstance(read, str)
    assert machine.post(f"/api/v1/studies/{read}/claim").status_code == 204
    held_since = _hidden(person.get(f"/studies/{read}").text, "held_since")
    for reason, status in (("Namezqxmarked cannot wait", 422), ("The night shift has gone home", 303)):
        said = fields | {"held_since": held_since, "reason": reason}
        taken = person.post(f"/studies/{read}/take-over", data=said)
        assert taken.status_code == status, taken.text
    said = {"reason": f"{MARKED['PatientID']} is ours"}
    assert machine.post(f"/api/v1/studies/{read}/take-over", json=said).status_code == 422
    for study in {*studies, read}:
        assert "zqx" in person.get(f"/studies/{study}").text
    page = person.get(f"/studies/{read}").text
    seen = {name: _hidden(page, name) for name in ("revision", "shown_at")}
    drafts = [post(f"/studies/{read}/draft", **seen, comment=words) for words in (WORDS, WORDS * 400)]
    assert [answer.status_code for answer in drafts] == [200, 422]
    post(f"/studies/{read}/review", **seen, action="correct", comment=WORDS)  # says nothing of the finding
    verdict = {"action": "correct", "finding:pneumonia": "absent", "comment": WORDS}
    signed = post(f"/studies/{read}/review", **seen, **verdict)
    assert signed.status_code == 200
    page = person.get(f"/studies/{read}").text
    seen = {name: _hidden(page, name) for name in ("revision", "shown_at")}
    post(f"/studies/{read}/review", **seen, **verdict | {"finding:pneumonia": "present"})
    for address in ("/audit", "/status", "/conflicts", "/done", "/site", "/adjudication", "/models"):
        person.get(address)
    return read


def _screened() -> str | None:
    """One that is no part of the conflict of who the patient is."""
    ours = (Study.patient_id == MARKED["PatientID"], Study.study_instance_uid != CONFLICT)
    with transaction() as session:
        found = session.scalars(select(Study.id).where(Study.state == "screened", *ours))
        return next(iter(map(str, found)), None)


def _hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found.group(1)


def _listen(service: Service, key: str, told: Told) -> None:
    try:
        with httpx.stream(
            "GET", f"{service.url}/api/v1/events", headers={"Authorization": f"Bearer {key}"}, timeout=60
        ) as answer:
            for piece in answer.iter_bytes():
                told.events.extend(piece)
    except httpx.TransportError:
        return  # the service has ended


def _everything(valkey: EmbeddedValkey) -> bytes:
    client = Redis(unix_socket_path=str(valkey.socket))
    kept = b"".join(client.dump(name) or b"" for name in client.scan_iter())
    return kept + b"".join(path.read_bytes() for path in valkey.log.parent.rglob("*") if path.is_file())
