"""Faults are planted for real, one at a time, and the doctor finds each and says what to do."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

import migrations
from app import checks, queue
from app.blobs import Blobs
from app.checks import Finding, examine, machine
from app.checks.service import SERVICE
from app.cli.doctor import checks_of, doctor
from app.commands import audit, delivery, registry
from app.domain.roles import SYSTEM, Role
from app.embedded.valkey import EmbeddedValkey
from app.records import Delivery, Image, Study
from app.records.engine import engine, forget_engine, transaction
from app.settings import settings
from app.web.main import create_app
from tests.audited import seal_all
from tests.builders import PASSWORD, a_screened_study, a_user, an_admitted_study
from worker.network import Network
from worker.seal import Sealer
from worker.sweep import Sweeper

_NO_WEB_SERVER = {"web server"}
"""These tests start none."""


@pytest.fixture
def sound(database: str, broker: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service in which all is well: a network, a stored image, and workers that have reported."""
    monkeypatch.setenv("PORT", "9")
    settings.cache_clear()
    Network(blobs, device="cpu", configured=None).current()
    an_admitted_study(blobs)
    for part in ("screening", "duty", "training", "dimse"):
        queue.report(f"{part}-1@here", {"part": part}, seconds=600)
    Sweeper(settings(), blobs=blobs).sweep()
    checks.forget()
    yield
    checks.forget()


def _set(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setenv(f"FIRSTREAD_{name}", str(value))
    settings.cache_clear()
    forget_engine()


def _found() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings(), checks_of(settings()))}


def _wrong() -> dict[str, str]:
    """What is wrong beside the web server, and what the doctor says of it."""
    found = _found()
    assert {name for name, finding in found.items() if finding.fine is False} >= _NO_WEB_SERVER
    return {name: f.said for name, f in found.items() if f.fine is False and name not in _NO_WEB_SERVER}


def _only(name: str) -> str:
    wrong = _wrong()
    assert set(wrong) == {name}, wrong
    return wrong[name]


def _an_image() -> str:
    with transaction() as session:
        return session.scalars(select(Image.sha256)).one()


def test_nothing_is_wrong_where_nothing_is(sound: None) -> None:
    assert _wrong() == {}
    assert [name for name, finding in _found().items() if finding.fine is None] == []


def test_a_database_that_is_down(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    said = _only("database")
    assert said.startswith("The database does not answer. See that PostgreSQL runs")
    unknown = {name for name, finding in _found().items() if finding.fine is None}
    assert {"schema", "clock", "stored images", "network", "deliveries", "bundle"} <= unknown


def test_a_broker_that_is_down(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "BROKER_URL", "redis://127.0.0.1:1/0")
    assert "See that Valkey runs" in _only("broker")


def test_a_disk_that_is_nearly_full(sound: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True, timeout=20).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        if not mounted:  # this account may mount nothing: the limit comes to the disk
            monkeypatch.setattr(machine, "LEAST_FREE_BYTES", 2**62)
        with transaction() as session:
            session.execute(text("SET session_replication_role = replica"))
            session.execute(text("DELETE FROM images"))
        _set(monkeypatch, "BLOBS", folder)
        wrong = _wrong()
        assert "make room: a full disk refuses uploads." in wrong.pop("disk")
        assert set(wrong) == {"network"}, "the new disk has no network's file either"
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True, timeout=20)


def test_a_folder_of_stored_bytes_that_cannot_be_written(sound: None, blobs: Blobs) -> None:
    incoming = settings().blob_folder / "incoming"
    incoming.rmdir()
    incoming.write_text("a file in its place")
    said = _only("folder of stored bytes")
    assert f"The folder {settings().blob_folder} cannot be written" in said
    assert "See that it is a folder, that it is mounted" in said


def test_a_stored_image_that_is_missing(sound: None, blobs: Blobs) -> None:
    blobs.path(_an_image()).unlink()
    assert _only("stored images").endswith(f"first {_an_image()}. Restore them from a backup.")


def test_a_stored_image_in_which_one_bit_fell(sound: None, blobs: Blobs) -> None:
    path = blobs.path(_an_image())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "missing or damaged: 1" in _only("stored images")


def test_a_network_whose_file_is_damaged(sound: None, blobs: Blobs) -> None:
    with transaction() as session:
        sha256 = registry.active_bundle(session)
    path = blobs.path(str(sha256))
    path.write_bytes(path.read_bytes()[:-1000])
    assert "Restore it from a backup, or promote another." in _only("network")


def test_a_network_that_is_another_programs_file(sound: None, blobs: Blobs) -> None:
    sha256 = blobs.put(b"PK\x03\x04 of another program")
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest={"name": "x", "version": "1"}, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="planted")
    assert _only("bundle").endswith("Promote another network, or start the version that made this one.")


def test_a_worker_that_refuses_the_network(sound: None) -> None:
    queue.report("screening-2@there", {"part": "screening", "refused": "It is not ours."}, seconds=60)
    assert _only("network") == "A screening worker reads with no network. It is not ours."


def test_a_database_that_an_older_version_left(sound: None, database: str) -> None:
    forget_engine()
    migrations.downgrade(database, "-1")
    assert "Run firstread migrate." in _only("schema")


def test_a_database_that_a_newer_version_has_migrated(sound: None) -> None:
    with transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "newer than this version. Start the version that made it" in _only("schema")


def test_a_database_without_tables(sound: None) -> None:
    with transaction() as session:
        session.execute(text("DROP TABLE alembic_version"))
    assert _only("schema") == "The database has no tables yet. Run firstread migrate."


@pytest.mark.parametrize(
    ("part", "name", "do"),
    [
        ("screening", "screening worker", "Start one with firstread worker."),
        ("training", "training worker", "Start one with firstread trainer."),
        ("dimse", "DICOM listener", "start one with firstread dimse."),
    ],
)
def test_a_worker_that_is_silent(sound: None, valkey: EmbeddedValkey, part: str, name: str, do: str) -> None:
    Redis(unix_socket_path=str(valkey.socket)).delete(f"firstread:worker:{part}-1@here")
    assert _only(name).endswith(do)


def test_a_dicom_listener_that_is_switched_off(
    sound: None, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    Redis(unix_socket_path=str(valkey.socket)).delete("firstread:worker:dimse-1@here")
    _set(monkeypatch, "DIMSE", "false")
    assert _found()["DICOM listener"].said == "It is switched off (FIRSTREAD_DIMSE)."
    assert _wrong() == {}


def test_a_duty_worker_that_has_fallen_silent_or_never_was(sound: None, valkey: EmbeddedValkey) -> None:
    raw = Redis(unix_socket_path=str(valkey.socket))
    raw.set("firstread:swept", raw.time()[0] - 3600)  # type: ignore[index,operator]
    assert re.match(r"The duty worker swept last 36\d\d s ago", _only("duty worker"))
    raw.delete("firstread:swept")
    assert _only("duty worker") == "No duty worker has swept yet. Start one with firstread duty."


def test_a_database_whose_clock_differs(sound: None, database: str) -> None:
    with transaction() as session:
        session.execute(
            text(
                "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
                " $$SELECT pg_catalog.clock_timestamp() + interval '90 s'$$"
            )
        )
        name = engine().url.database
        session.execute(text(f"ALTER DATABASE {name} SET search_path = public, pg_catalog"))
    forget_engine()
    said = _only("clock")
    assert "differ by 90." in said and "Set both by NTP." in said


def test_a_secret_that_everybody_may_read(
    sound: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("s3cret")
    file.chmod(0o644)
    _set(monkeypatch, "OIDC_CLIENT_SECRET_FILE", file)
    assert _only("secrets") == f"{file} holds a secret and is open to every account. Run chmod 600 on it."
    file.chmod(0o600)
    assert _wrong() == {}
    file.unlink()
    assert "See that it is there" in _only("secrets")


def test_a_time_zone_that_is_none(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "TIME_ZONE", "Mars/Olympus")
    assert _only("time zone").endswith("Set one such as Europe/Berlin.")


def test_a_study_that_waits_and_a_result_that_arrived_nowhere(sound: None, blobs: Blobs) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.hospital/", by=SYSTEM)
    a_screened_study(blobs)
    with transaction() as session:
        session.execute(update(Delivery).values(state="dead"))
        session.execute(update(Study).where(Study.screening_due).values(_an_hour_earlier()))
    wrong = _wrong()
    assert wrong["waiting studies"].startswith("A study has waited 60 minutes for the network.")
    assert wrong["deliveries"].endswith("Send them again from the page Destinations.")


def test_cookies_over_plain_http_where_people_come_by_https(
    sound: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no https address" in _found()["cookies"].said
    _set(monkeypatch, "PUBLIC_URL", "HTTPS://firstread.hospital.example")
    assert _only("cookies").endswith("Set FIRSTREAD_INSECURE_COOKIES=false for the web servers.")
    _set(monkeypatch, "INSECURE_COOKIES", "false")
    assert _wrong() == {}
    assert _found()["cookies"].said == "The cookies of sessions cross TLS alone."


def test_an_audit_trail_that_nobody_seals(sound: None) -> None:
    _an_hour_ago("audit_events", "at")
    assert _only("audit trail").startswith("The audit trail has not been sealed for 60 minutes.")
    seal_all()
    assert _wrong() == {}


def test_a_syslog_server_that_does_not_take_the_seals(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AUDIT_SYSLOG", "tcp://127.0.0.1:1")
    seal_all()
    assert _wrong() == {}, "sealed a moment ago"
    _an_hour_ago("audit_seals", "sealed_at")
    assert _only("audit trail").startswith("A sealed part of the audit trail has waited 60 minutes")
    Sealer(settings()).round(stop=threading.Event())
    said = _only("audit trail")
    assert said.startswith("Seals on the audit trail do not leave the house. See that the syslog server runs")
    assert said.endswith("did not take the messages (ConnectionRefusedError).")


def test_a_site_that_was_not_backed_up_for_long(sound: None) -> None:
    assert _found()["last backup"].said.startswith("None has been made yet.")
    _back_up("site.backed-up")
    assert _found()["last backup"].said == "The first one is being made."
    _an_hour_ago("audit_events", "at", times=40)
    seal_all()
    assert _only("last backup").startswith("No backup that was begun has come to its end.")
    _back_up("site.backup-whole", lost=0)
    assert _found()["last backup"].said == "The last one was made 0 hours ago and is whole."
    _an_hour_ago("audit_events", "at", times=40)
    seal_all()
    assert _only("last backup").startswith("The last whole backup was made 40 hours ago.")


def test_a_backup_of_a_site_that_had_lost_bytes(sound: None) -> None:
    _back_up("site.backup-whole", lost=3)
    assert "when the site had lost stored bytes: 3." in _only("last backup")


def test_the_age_of_what_is_not_sealed_is_said(sound: None) -> None:
    seal_all()
    assert _found()["audit trail"].said == "It is sealed up to 0 s ago."


def test_the_doctor_prints_a_line_for_each_and_ends_with_1_where_one_is_wrong(
    sound: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor() == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks_of(settings()))
    assert [line[6:].split("  ")[0] for line in lines if not line.startswith("ok ")] == ["web server"]


def test_the_operators_page_says_the_same(sound: None, blobs: Blobs, session: Session) -> None:
    a_user(session, "oscar", Role.OPERATOR)
    session.commit()
    blobs.path(_an_image()).unlink()
    said = {finding.name: finding.said for finding in examine(settings(), SERVICE)}
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        client.post("/sign-in", data={"username": "oscar", "password": PASSWORD}, follow_redirects=False)
        page = client.get("/status").text
    assert said["stored images"] in page
    for name in ("database", "clock", "secrets", "duty worker"):
        assert f'<th scope="row">{name}</th><td>ok</td>' in page
    assert page.count(" s ago</td>") == len(SERVICE)


def _back_up(action: str, **details: object) -> None:
    with transaction() as session:
        audit.record(session, action=action, by=SYSTEM, **details)


def _an_hour_ago(table: str, column: str, *, times: int = 1) -> None:
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(f"UPDATE {table} SET {column} = {column} - interval '{times} h'"))


def _an_hour_earlier() -> dict[str, object]:
    return {"arrived_at": text("arrived_at - interval '60 min'"), "rank_at": text("rank_at - interval '2 h'")}
