"""The worklist and every page with a million studies, and the worklist's ratio to ten thousand.

    .venv/bin/python -m bench.worklist [--studies 1000000] [--base 10000] [--waiting 3000] [--queries 100]

A PostgreSQL of the bench's own with two databases (`bench.archive`), as many studies waiting in both: what
waits does not grow with the archive. First the application's own queries, each in a transaction as a request
has it, a few at a time in turn so that both databases meet the same load; then the pages, asked of a web
server over a kept connection by somebody who has every role, from the request sent to the last byte of the
answer.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psycopg
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.domain.roles import Actor
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.queries import next_study, worklist
from app.queries.worklist_filter import filter_of
from app.records.base import now
from app.records.engine import build_engine
from bench import learning
from bench.archive import PASSWORD, READER, fill
from migrations import upgrade

ROWS_MS, RATIO, PAGE_MS = 20.0, 2.0, 100.0
"""What must hold: 50 rows, their ratio to the base, and the 95th percentile of a page."""
_REPOSITORY = Path(__file__).resolve().parent.parent
_TURN = 5
Ask = Callable[[Session], object]


@dataclass(frozen=True)
class Archive:
    """A filled database."""

    studies: int
    url: str
    engine: Engine
    connection: psycopg.Connection[Any]

    def one(self, statement: str) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(statement.encode()).fetchone()
        assert row is not None, statement
        return row[0]

    def milliseconds(self, ask: Ask) -> float:
        """What one question takes, its transaction and the objects made of its rows included."""
        started = time.perf_counter()
        with Session(self.engine) as session, session.begin():
            ask(session)
        return (time.perf_counter() - started) * 1000


def make(server: EmbeddedPostgres, stack: ExitStack, *, studies: int, waiting: int) -> Archive:
    """A database of so many studies; says what that took."""
    name = f"of_{studies}"
    with psycopg.connect(_plain(server.url_of("postgres")), autocommit=True) as administration:
        administration.execute(f"CREATE DATABASE {name}".encode())
    url = server.url_of(name)
    upgrade(url)
    connection = stack.enter_context(psycopg.connect(_plain(url), autocommit=True))
    engine = build_engine(url)
    stack.callback(engine.dispose)
    archive = Archive(studies, url, engine, connection)
    seconds = fill(connection, engine, studies=studies, waiting=waiting)
    size = archive.one("SELECT pg_database_size(current_database())")
    print(f"{studies:>9,} studies: filled in {seconds:.0f} s, {size / 2**30:.2f} GB", flush=True)
    return archive


def questions(archive: Archive) -> dict[str, Ask]:
    """What a worklist asks of the database, by name."""
    to = Actor(kind="user", id=archive.one("SELECT id FROM users"), name=READER)
    with Session(archive.engine) as session:
        first = worklist.page(session, to=to)
    patient = archive.one("SELECT patient_id FROM studies WHERE state = 'signed' LIMIT 1")
    accession = archive.one("SELECT accession_number FROM studies WHERE state = 'signed' OFFSET 100 LIMIT 1")
    name = archive.one("SELECT split_part(patient_name, '=', 1) FROM studies WHERE state = 'signed' LIMIT 1")
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)

    def listing(**asked: str) -> Ask:
        return lambda session: worklist.page(session, where=filter_of(asked), to=to)

    def searching(text: str) -> Ask:
        return lambda session: worklist.search(session, text=text, to=to)

    return {
        "worklist": listing(),
        "worklist, next page": lambda session: worklist.page(session, cursor=first.next_cursor, to=to),
        "filter: rule-in": listing(lane="rule-in"),
        "filter: not read": listing(lane="unread"),
        "filter: failed": listing(state="failed"),
        "filter: finding present": listing(finding="pneumonia"),
        "filter: station": listing(station="DX7"),
        "filter: station that has none": listing(station="MG1"),
        "filter: age 3 to below 6": listing(age_from="3", age_below="6"),
        "filter: the last hour": listing(hours="1"),
        "filter: held by me": listing(held="me"),
        "filter: held by others": listing(held="others"),
        "filter: held by nobody": listing(held="nobody"),
        "done today": lambda session: worklist.done(session, since=midnight, to=to),
        "done in the last 24 h": lambda session: worklist.done(
            session, since=now() - timedelta(days=1), to=to
        ),
        "counts": lambda session: worklist.counts(session, due_before=now(), to=to),
        "stations": worklist.stations,
        "next study": lambda session: next_study.next_after(session, study_id=None, reader=READER),
        "search: patient ID": searching(patient),
        "search: accession number": searching(accession),
        "search: a patient's name": searching(name.replace("^", " ")),
        "search: a name that thousands have": searching("okafor"),
        "search: two letters that most have": searching("ar"),
        "search: two characters of a script": searching("小明"),
        "search: a name that nobody has": searching("xylander"),
        "search: two letters that nobody has": searching("qx"),
    }


def compare(base: Archive, large: Archive, *, queries: int) -> bool:
    """Prints the table; True where 50 rows are as quick as they must be."""
    asked = {archive.studies: questions(archive) for archive in (base, large)}
    print(f"\n{'milliseconds':<38} {base.studies:>10,}          {large.studies:>10,}")
    print(f"{'':<38} {'p50':>8} {'p95':>8}   {'p50':>8} {'p95':>8}   ratio")
    kept = True
    for name in asked[base.studies]:
        took: dict[int, list[float]] = {base.studies: [], large.studies: []}
        for turn in range(-_TURN, queries, _TURN):
            for archive in (base, large):
                found = [archive.milliseconds(asked[archive.studies][name]) for _ in range(_TURN)]
                if turn >= 0:  # the first turn warms up
                    took[archive.studies] += found
        (low, low95), (high, high95) = (np.percentile(took[a.studies], [50, 95]) for a in (base, large))
        must = name.startswith(("worklist", "filter"))
        good = not must or (high < ROWS_MS and high / low <= RATIO)
        kept = kept and good
        print(
            f"{name:<38} {low:8.1f} {low95:8.1f}   {high:8.1f} {high95:8.1f}   {high / low:5.2f}"
            + ("" if good else "   NOT REACHED"),
            flush=True,
        )
    return kept


def addresses(archive: Archive) -> dict[str, Sequence[str]]:
    """Of each page of the router, the addresses at which it is asked for."""
    waiting = archive.one(
        "SELECT id FROM studies WHERE state = 'screened' ORDER BY rank_at OFFSET 20 LIMIT 1"
    )
    signed = archive.one("SELECT id FROM studies WHERE state = 'amended' LIMIT 1")
    known = archive.one("SELECT id FROM studies WHERE state = 'signed' LIMIT 1")
    active = archive.one("SELECT bundle_sha256 FROM promotions LIMIT 1")
    candidate = archive.one("SELECT bundle_sha256 FROM shadows LIMIT 1")
    dataset = archive.one("SELECT id FROM datasets LIMIT 1")
    snapshot = archive.one("SELECT id FROM snapshots ORDER BY images DESC LIMIT 1")
    run = archive.one("SELECT id FROM training_runs WHERE candidate_sha256 IS NOT NULL LIMIT 1")
    deletion = archive.one("SELECT id FROM deletions LIMIT 1")
    month = (now() - timedelta(days=30)).date()
    return {
        "/": ("/", "/?lane=rule-in&station=DX7", "/?finding=pneumonia", "/?section=done", "/?held=me"),
        "/account": ("/account",),
        "/account/second-factor": ("/account/second-factor",),
        "/adjudication": ("/adjudication",),
        "/audit": (
            "/audit",
            f"/audit?actor={READER}",
            "/audit?action=study.viewed",
            "/audit?action=key.added",
            "/audit?action=key.",
            f"/audit?study={known}",
            f"/audit?since={month}&until={month}",
            f"/audit?actor={READER}&action=study.claimed",
        ),
        "/audit/patient": ("/audit/patient",),
        "/conflicts": ("/conflicts",),
        "/help": ("/help",),
        "/second-opinions": ("/second-opinions",),
        "/destinations": ("/destinations",),
        "/models": ("/models",),
        "/models/{sha256}": (f"/models/{candidate}", f"/models/{active}"),
        "/models/{sha256}/card.json": (f"/models/{candidate}/card.json",),
        "/models/{sha256}/card.md": (f"/models/{candidate}/card.md",),
        "/models/{sha256}/export": (f"/models/{candidate}/export",),
        "/models/{sha256}/shadow": (f"/models/{candidate}/shadow",),
        "/models/layers": ("/models/layers", f"/models/layers?study={known}"),
        "/password": ("/password",),
        "/people": ("/people",),
        "/sign-in": ("/sign-in",),
        "/site": ("/site",),
        "/site/patients": ("/site/patients",),
        "/site/patients/proofs/{deletion_id}": (f"/site/patients/proofs/{deletion}",),
        "/status": ("/status",),
        "/studies/{study_id}": (f"/studies/{waiting}", f"/studies/{signed}"),
        "/studies/{study_id}/onwards": (f"/studies/{waiting}/onwards?signed={signed}",),
        "/studies/{study_id}/draft": (f"/studies/{waiting}/draft",),
        "/studies/{study_id}/now": (f"/studies/{waiting}/now",),
        "/studies/{study_id}/pictures": (f"/studies/{known}/pictures",),
        "/studies/{study_id}/similar": (f"/studies/{waiting}/similar",),
        "/training": ("/training", f"/training?snapshot={snapshot}"),
        "/training/datasets": ("/training/datasets",),
        "/training/datasets/{dataset_id}": (f"/training/datasets/{dataset}",),
        "/training/datasets/{dataset_id}/files": (
            f"/training/datasets/{dataset}/files",
            f"/training/datasets/{dataset}/files?order=doubt",
        ),
        "/training/runs": ("/training/runs",),
        "/training/runs/{run_id}": (f"/training/runs/{run}",),
        "/training/snapshots": ("/training/snapshots",),
        "/training/snapshots/{snapshot_id}": (f"/training/snapshots/{snapshot}",),
        "/upload": ("/upload",),
        "/worklist/page": ("/worklist/page",),
        "/worklist/rows": (f"/worklist/rows?id={waiting}&id={known}",),
        "/metrics": ("/metrics",),
    }


ELSEWHERE = {
    "/docs",
    "/healthz",
    "/models/layers/{look_id}",
    "/models/{sha256}/export/{export_id}",
    "/openapi.json",
    "/problems/{slug}",
    "/readyz",
    "/sign-in/code",
    "/sign-in/provider",
    "/sign-in/provider/back",
    "/signed-out",
    "/training/datasets/{dataset_id}/files/{file_id}/picture",
}
"""What is no page of the dashboard, asks no database, or gives stored bytes."""


class Reader:
    """Somebody with every role, signed in, on one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        _, answer, _ = self.ask("POST", "/sign-in", urlencode({"username": READER, "password": PASSWORD}))
        cookie = answer.getheader("Set-Cookie") or ""
        self._cookie = cookie.partition(";")[0]
        _, _, body = self.ask("GET", "/account")
        token = re.search(r'data-csrf="([^"]+)"', body.decode())
        assert token is not None, "nobody was signed in"
        self._token = token[1]

    _cookie = ""
    _token = ""

    def ask(
        self, method: str, address: str, form: str | None = None
    ) -> tuple[float, http.client.HTTPResponse, bytes]:
        """Milliseconds to the last byte, the answer and its body."""
        headers = {"Cookie": self._cookie, "Accept": "text/html", "X-CSRF-Token": self._token}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        started = time.perf_counter()
        self._connection.request(method, address, form, headers)
        answer = self._connection.getresponse()
        body = answer.read()
        return (time.perf_counter() - started) * 1000, answer, body


def pages(archive: Archive, broker: str, *, home: Path, requests: int) -> bool:
    """Prints the time of every page; True where each is as quick as it must be."""
    print(f"\n{'milliseconds of a page':<60} {'p50':>8} {'p95':>8}   {archive.studies:,} studies")
    kept = True
    with web_server(archive.url, broker, home=home) as port:
        reader = Reader(port)
        asked = [("GET", address, None) for part in addresses(archive).values() for address in part]
        asked += [
            ("POST", "/worklist/search", urlencode({"text": text}))
            for text in ("A4711", "okafor", "ar", "小明", "xylander", "qx")
        ]
        asked.append(("POST", "/audit/patient", urlencode({"patient_id": "P1"})))
        _, answer, _ = reader.ask("POST", "/training/snapshots/looks", urlencode({"reviews": "true"}))
        asked.append(("GET", answer.getheader("Location") or "/training/snapshots/looks", None))
        for method, address, form in asked:
            took = []
            for _ in range(requests + 2):
                milliseconds, answer, body = reader.ask(method, address, form)
                if answer.status != 200:
                    raise RuntimeError(f"{address}: {answer.status} {body[:300]!r}")
                took.append(milliseconds)
            p50, p95 = np.percentile(took[2:], [50, 95])
            good = p95 < PAGE_MS
            kept = kept and good
            name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", address) + (
                f" {_unquoted(form)}" if form else ""
            )
            print(f"{name:<60} {p50:8.1f} {p95:8.1f}{'' if good else '   NOT REACHED'}", flush=True)
    return kept


def _unquoted(form: str) -> str:
    return form if form.isascii() and "%" not in form else "text=two characters of a script"


def check_addresses(archive: Archive) -> None:
    """Raises RuntimeError where the router has a page that this bench does not ask for."""
    from fastapi.routing import iter_route_contexts  # noqa: PLC0415  (imports the web application)

    from app.web.main import application  # noqa: PLC0415

    routed = {
        context.path
        for context in iter_route_contexts(application.routes)
        if "GET" in (context.methods or ()) and not context.path.startswith(("/api/", "/dicomweb/"))
    }
    if missing := routed - set(addresses(archive)) - ELSEWHERE:
        raise RuntimeError(f"Say in bench/worklist.py at which addresses to ask for {', '.join(missing)}.")


@contextmanager
def web_server(database: str, broker: str, *, home: Path) -> Iterator[int]:
    """The port of a `firstread web` on that database, with its files in the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        env = os.environ | {
            "FIRSTREAD_HOME": str(home),
            "FIRSTREAD_DATABASE_URL": database,
            "FIRSTREAD_BROKER_URL": broker,
            "FIRSTREAD_LOG_FORMAT": "json",
            "PORT": str(port),
        }
        log = home / "web.log"
        with log.open("wb") as output:
            web = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "web"],
                env=env,
                stdout=output,
                stderr=output,
                cwd=_REPOSITORY,
            )
        try:
            _await_alive(port, web, log)
            yield port
        finally:
            web.send_signal(signal.SIGTERM)
            web.wait(30)


def _await_alive(port: int, web: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and web.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the web server did not start:\n{log.read_text()}")


def _plain(url: str) -> str:
    return url.replace("+psycopg", "")


def main() -> None:
    """Print the tables, and say what was not reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--base", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=3_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--requests", type=int, default=30)
    arguments = parser.parse_args()
    with EmbeddedPostgres.temporary() as server, EmbeddedValkey.temporary() as valkey, ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="firstread-bench-")))
        blobs = Blobs(home / "blobs")
        base = make(server, stack, studies=arguments.base, waiting=arguments.waiting)
        learning.fill(base.connection, base.engine, blobs)
        check_addresses(base)
        large = make(server, stack, studies=arguments.studies, waiting=arguments.waiting)
        learning.fill(large.connection, large.engine, blobs)
        rows = compare(base, large, queries=arguments.queries)
        shown = pages(large, valkey.url, home=home, requests=arguments.requests)
    print(f"\n50 rows under {ROWS_MS:g} ms and at most {RATIO:g} times the base: {'yes' if rows else 'no'}")
    print(f"every page under {PAGE_MS:g} ms at the 95th percentile: {'yes' if shown else 'no'}")


if __name__ == "__main__":
    main()
