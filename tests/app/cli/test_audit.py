"""`firstread audit`: verify, export and the report of a patient, on a database of the test's own."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from lxml import etree
from sqlalchemy import select, text
from typer.testing import CliRunner

from app.blobs import Blobs
from app.cli import audit_export, cli
from app.cli.audit_heads import heads
from app.cli.refusals import in_words
from app.commands import audit as trail
from app.commands import viewing
from app.domain.roles import SYSTEM, Actor, Role
from app.errors import Unprocessable
from app.records import AuditEvent
from app.records.engine import transaction
from app.settings import settings
from tests.audited import record_events, seal_all
from tests.builders import a_user, an_admitted_study
from tests.syslog_server import SyslogServer

_HEAD = "ab" * 32


def _run(*words: str, code: int = 0, given: str | None = None) -> Result:
    answer = CliRunner().invoke(cli, ["audit", *words], input=given)
    assert answer.exit_code == code, (answer.output, answer.exception)
    return answer


def _refused(*words: str) -> str:
    answer = CliRunner().invoke(cli, ["audit", *words])
    assert isinstance(answer.exception, Exception)
    return in_words(answer.exception) or ""


def _details(action: str) -> list[dict[str, Any]]:
    with transaction() as session:
        found = session.scalars(
            select(AuditEvent.details).where(AuditEvent.action == action).order_by(AuditEvent.id)
        )
        return list(found)


def test_verify_tells_that_all_is_well_and_that_somebody_asked(database: str) -> None:
    record_events(3)
    [head] = seal_all()
    answer = _run("verify", "--head", f"1:{head.head}", "--head", head.head)
    assert "3 events are as 1 seals have them." in answer.stdout
    assert f"Newest head: 1:{head.head}" in answer.stdout
    assert "1 given head is in the chain." in answer.stdout
    assert _details("audit.verified") == [{"events": 3, "seals": 1, "findings": 0, "known_heads": 1}]


def test_verify_tells_what_was_tampered_with_and_ends_with_1(database: str, tmp_path: Path) -> None:
    record_events(3)
    [head] = seal_all()
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("UPDATE audit_events SET actor_name = 'nobody' WHERE id = 2"))
    kept = tmp_path / "kept"
    kept.write_text(f"seal=1 head={head.head}\nseal=2 head={_HEAD}\n")
    said = _run("verify", "--head", str(kept), code=1).stdout
    assert "Event 2 was changed since it was sealed by seal 1" in said
    assert f"The end of the trail was cut off: seal 2 had the head {_HEAD}" in said
    assert said.endswith("The audit trail was tampered with.\n")
    assert _details("audit.verified")[0]["findings"] == 2


def test_verify_says_that_sealing_has_come_to_a_halt_and_ends_with_1(database: str) -> None:
    record_events(3)
    seal_all()
    record_events(2)
    assert "Sealing" not in _run("verify").stdout, "a moment ago"
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("UPDATE audit_events SET at = at - interval '11 min' WHERE id = 4"))
    said = _run("verify", code=1).stdout
    assert "Sealing has come to a halt" in said
    assert "tampered" not in said
    assert _details("audit.verified")[-1]["findings"] == 1


def test_after_a_restore_verify_names_it_beside_the_heads_that_it_took(database: str) -> None:
    record_events(3)
    seal_all()
    with transaction() as session:
        trail.record(session, action="site.restored", by=SYSTEM, backup="20261122T021500Z")
    seal_all()
    said = _run("verify", "--head", f"2:{_HEAD}", code=1).stdout
    assert "is not the one that was known" in said
    assert "Or a restore from a backup did it: event 4, of 20" in said
    assert said.endswith("was tampered with, or the restore took what those heads vouch for.\n")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (
            f"<85>1 2026-11-23T02:30:00.000005Z w firstread 8 AUDITHEAD - \ufeffseal=7 events=3 head={_HEAD}",
            7,
        ),
        (f"2026-11-23T02:30:00Z [info     ] audit_sealed   events=5 head={_HEAD} last_event=9 seal=7", 7),
        (f"\x1b[36mseal\x1b[0m=\x1b[35m7\x1b[0m \x1b[36mhead\x1b[0m=\x1b[35m{_HEAD}\x1b[0m", 7),
        (f'{{"seal": 7, "last_event": 9, "events": 5, "head": "{_HEAD}", "event": "audit_sealed"}}', 7),
        (f"Newest head: 7:{_HEAD}", 7),
        (_HEAD, None),
    ],
)
def test_heads_are_found_in_the_logs_that_hold_them(tmp_path: Path, line: str, number: int | None) -> None:
    log = tmp_path / "log"
    log.write_text(f"something else\n{line}\nsha256={'cd' * 32}\n", encoding="utf-8")
    assert heads([str(log)]) == {_HEAD: number}


def test_a_file_without_heads_and_one_that_is_not_there_are_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("nothing\n")
    with pytest.raises(Unprocessable, match="no head of the audit trail"):
        heads([str(empty)])
    with pytest.raises(Unprocessable, match="no readable file"):
        heads(["abc"])


def test_export_writes_a_message_for_every_event_and_names_patients_only_when_asked(
    database: str, blobs: Blobs, tmp_path: Path
) -> None:
    an_admitted_study(blobs, patient_id="SECRET-7")
    seal_all()
    record_events(600)  # more than a page, and not sealed: an export has them too
    with transaction() as session:
        ids = list(session.scalars(select(AuditEvent.id).order_by(AuditEvent.id)))
    plain, named = tmp_path / "plain.xml", tmp_path / "named.xml"
    assert f"{len(ids)} messages" in _run("export", "--out", str(plain)).stdout
    _run("export", "--out", str(named), "--identified")
    messages = [etree.fromstring(line) for line in plain.read_text().splitlines()]
    assert len(messages) == len(ids)
    assert "SECRET-7" not in plain.read_text()
    assert "SECRET-7" in named.read_text()
    assert plain.stat().st_mode & 0o077 == 0
    assert "already" in _refused("export", "--out", str(plain))
    assert _details("audit.exported")[0] == {"events": len(ids), "identified": False, "to": "file"}


def test_export_of_a_time_has_the_events_of_that_time(database: str, tmp_path: Path) -> None:
    record_events(2)
    assert "0 messages" in _run("export", "--out", str(tmp_path / "a"), "--until", "2020-01-01").stdout
    assert (
        "3 messages"  # the first export is one
        in _run(
            "export", "--out", str(tmp_path / "b"), "--since", "2020-01-01", "--until", "2999-01-01"
        ).stdout
    )


def test_an_export_leaves_out_nothing_that_is_still_being_written(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "_PATIENCE_SECONDS", 0.3)
    out = tmp_path / "out"
    with transaction() as slow:
        trail.record(slow, action="study.screening", by=SYSTEM)
        slow.flush()
        record_events(1)
        assert "has not ended. Try again." in _refused("export", "--out", str(out))
        assert not out.exists()
        assert _details("audit.exported") == []
    assert "2 messages" in _run("export", "--out", str(out)).stdout


def test_export_goes_to_the_syslog_server_or_says_that_there_is_none(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_events(2)
    assert "FIRSTREAD_AUDIT_SYSLOG" in _refused("export", "--syslog")
    with SyslogServer("tcp") as server:
        monkeypatch.setenv("FIRSTREAD_AUDIT_SYSLOG", server.address)
        settings.cache_clear()
        _run("export", "--syslog")
        assert all(b" DICOM+RFC3881 - " in octets for octets in server.received(2))
    assert "did not take the messages" in _refused("export", "--syslog")
    told = [details["events"] for details in _details("audit.exported")]
    assert told == [2, 3], "that it was begun is on record, whatever became of it"
    _run("export", code=2)


def test_the_report_of_a_patient_has_every_event_of_every_study_of_theirs_and_no_other(
    database: str, blobs: Blobs
) -> None:
    with transaction() as session:
        alice = a_user(session, "alice", Role.RADIOLOGIST)
    mine = [an_admitted_study(blobs, patient_id="P-1").study_id for _ in range(2)]
    other = an_admitted_study(blobs, patient_id="P-2").study_id
    with transaction() as session:
        for study in (*mine, other):
            viewing.view(session, study_id=study, by=alice, via="page")
    for words in (("--patient-id", "P-1"), ("--study", str(mine[0]))):
        rows = list(csv.DictReader(io.StringIO(_run("patient", *words).stdout)))
        assert {row["study"] for row in rows} == {str(study) for study in mine}
        views = [row for row in rows if row["action"] == "study.viewed"]
        assert [(row["who"], row["details"]) for row in views] == [("alice", '{"via": "page"}')] * 2
        assert [int(row["no"]) for row in rows] == sorted(int(row["no"]) for row in rows)
    asked = _run("patient", "--patient-id", "-", given="P-2\n")
    assert str(other) in asked.stdout
    assert _details("audit.patient-asked") == [{"studies": 2}, {"studies": 2}, {"studies": 1}]
    assert "P-1" not in str(_details("audit.patient-asked"))
    assert "No study here" in _refused("patient", "--patient-id", "P-1", "--issuer", "ELSEWHERE")
    _run("patient", code=2)


def test_no_cell_of_a_report_is_a_formula(database: str, blobs: Blobs) -> None:
    study = an_admitted_study(blobs, patient_id="P-1").study_id
    with transaction() as session:
        sender = Actor(kind="ae", id=None, name="=cmd|'/C calc'!A")
        viewing.view(session, study_id=study, by=sender, via="page")
    rows = list(csv.DictReader(io.StringIO(_run("patient", "--patient-id", "P-1").stdout)))
    assert "'=cmd|'/C calc'!A" in {row["who"] for row in rows}


def test_of_a_study_that_is_gone_its_id_still_leads_to_its_events(database: str) -> None:
    gone = "5b0c6a0e-0000-4000-8000-00000000000a"
    assert "No study here" in _refused("patient", "--study", gone)
    nobody = Actor(kind="system", id=None, name="somebody")
    with transaction() as session:
        viewing.view(session, study_id=UUID(gone), by=nobody, via="page")
    assert "somebody" in _run("patient", "--study", gone).stdout
