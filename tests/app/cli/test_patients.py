"""`firstread patient`: delete one with proof, and delete again what a backup brought back."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy import event, select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.blobs import Blobs
from app.cli import cli
from app.cli.refusals import in_words
from app.cli.restore import _delete_again
from app.commands import deletion, review
from app.commands.deletion import delete_patient
from app.commands.deletion_again import again, proof_in
from app.domain.roles import SYSTEM, Role
from app.errors import NotFound
from app.records import Deletion, Image, Study
from app.records.engine import transaction
from app.settings import settings
from tests.builders import a_screened_study, a_user, an_admitted_study

REASON = ("--reason", "Request 17 of 2026")


def _run(*words: str, given: str | None = None) -> Result:
    answer = CliRunner().invoke(cli, ["patient", *words], input=given)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer


def _patients() -> list[str]:
    with transaction() as session:
        return sorted(session.scalars(select(Study.patient_id)))


def test_what_would_go_is_told_and_nothing_goes_without_a_yes(database: str, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="P-1")
    answer = _run("delete", "--patient-id", "-", *REASON, given="P-1\nn\n")
    assert "Would go: 1 studies, 1 images" in answer.stdout
    assert "Nothing was deleted." in answer.stdout
    assert _patients() == ["P-1"]


def test_a_deleted_patient_is_proven_and_deleted_again_where_they_come_back(
    database: str, blobs: Blobs, tmp_path: Path
) -> None:
    mine = an_admitted_study(blobs, patient_id="P-1")
    an_admitted_study(blobs, patient_id="P-2")
    proof = tmp_path / "proofs"
    answer = _run("delete", "--patient-id", "P-1", *REASON, "--yes", "--proof", str(proof))
    assert "Deleted: 1 studies with 1 images." in answer.stdout
    assert _patients() == ["P-2"]
    told = _run("deleted").stdout
    assert told == proof.read_text()
    assert "P-1" not in told
    said = json.loads(told)
    assert (said["images"], said["reason"]) == ([mine.sha256], REASON[1])
    said["studies"] = [str(an_admitted_study(blobs, patient_id="P-3").study_id)]
    proof.write_text(json.dumps(said))
    assert "1 studies were there again" in _run("delete-again", str(proof)).stdout
    assert _patients() == ["P-2"]


def test_a_file_that_holds_no_proof_is_refused_in_a_sentence(database: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text('{"studies": ["no id"]}')
    answer = CliRunner().invoke(cli, ["patient", "delete-again", str(wrong)])
    assert isinstance(answer.exception, Exception)
    assert "does not hold what" in (in_words(answer.exception) or "")


def test_a_restore_deletes_again_also_what_somebody_held_in_the_backup(
    database: str, blobs: Blobs, capsys: pytest.CaptureFixture[str]
) -> None:
    study = a_screened_study(blobs, patient_id="P-1").study_id
    stays = an_admitted_study(blobs, patient_id="P-2")
    with transaction() as session:
        review.claim(session, study_id=study, by=a_user(session, "dr.lee", Role.RADIOLOGIST), minutes=5)
    with transaction() as session:
        [sha256] = session.scalars(select(Image.sha256).where(Image.study_id == study))
    kept = settings().home / "features" / "a.npz"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"features of the picture")
    proof = proof_in(_line(studies=[str(study)]))
    _delete_again([proof], url=database, configured=settings())
    assert "Of 1 deletions 1 studies were there again, and are deleted." in capsys.readouterr().out
    assert _patients() == ["P-2"]
    assert blobs.has(stays.sha256)
    assert not blobs.has(sha256), "nothing runs, so nobody is about to name the bytes"
    assert not kept.exists()


def test_the_proof_is_written_after_the_commit_and_a_file_that_cannot_be_is_said(
    database: str, blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_admitted_study(blobs, patient_id="P-1")
    proof = tmp_path / "proofs"
    words = ("delete", "--patient-id", "P-1", *REASON, "--yes", "--proof")
    nowhere = CliRunner().invoke(cli, ["patient", *words, str(tmp_path / "no" / "folder")])
    assert isinstance(nowhere.exception, NotFound)
    assert "cannot be written: No such file" in str(in_words(nowhere.exception))
    with monkeypatch.context() as patch:
        patch.setattr(deletion, "delete_patient", _loses_its_commit)
        lost = CliRunner().invoke(cli, ["patient", *words, str(proof)])
    assert lost.exit_code != 0
    assert _patients() == ["P-1"]
    assert not proof.exists() or proof.read_text() == ""

    synced: list[int] = []

    def full_the_second_time(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_the_second_time)
        full = CliRunner().invoke(cli, ["patient", *words, str(proof)])
    assert full.exit_code == 1
    assert "the proof is not in that file" in full.stderr
    assert "No space left" in full.stderr
    assert _patients() == []
    assert json.loads(_run("deleted").stdout)["reason"] == REASON[1]


def test_what_cannot_be_deleted_again_now_is_told_and_the_rest_goes(
    database: str, blobs: Blobs, tmp_path: Path
) -> None:
    held = a_screened_study(blobs, patient_id="P-1").study_id
    free = an_admitted_study(blobs, patient_id="P-2").study_id
    with transaction() as session:
        review.claim(session, study_id=held, by=a_user(session, "dr.lee", Role.RADIOLOGIST), minutes=5)
    file = tmp_path / "proofs"
    lines = [_line(studies=[str(held)]), _line(studies=[str(free)], kind="retention")]
    file.write_text("\n".join(lines))
    answer = CliRunner().invoke(cli, ["patient", "delete-again", str(file)])
    assert (answer.exit_code, _patients()) == (1, ["P-1"])
    assert "dr.lee holds one of the studies" in answer.stderr
    with transaction() as session:
        [deleted] = session.scalars(select(Deletion))
    assert (deleted.kind, deleted.studies) == ("retention", [str(free)])


def test_a_reason_in_the_file_that_names_the_patient_gives_way_to_the_deletion_s_id(
    database: str, blobs: Blobs
) -> None:
    study = an_admitted_study(blobs, patient_id="P-NAMED").study_id
    proof = proof_in(_line(studies=[str(study)], reason="of P-NAMED"))
    assert again([proof], blobs, by=SYSTEM).studies == 1
    with transaction() as session:
        assert session.scalars(select(Deletion.reason)).all() == [f"Deletion {proof.id}."]


@pytest.mark.parametrize(
    "wrong",
    [{"reason": "x" * 301}, {"reason": "two\nlines"}, {"reason": 7}, {"kind": "other"}, {"studies": "12"}],
)
def test_a_line_that_is_no_proof_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no proof"):
        proof_in(_line(**wrong))


def _line(**other: object) -> str:
    told = {"deletion": str(UUID(int=7)), "kind": "patient", "reason": REASON[1], "studies": []}
    return json.dumps(told | other)


def _loses_its_commit(session: Session, *args: Any, **words: Any) -> deletion.Deleted:
    def lost(_session: Session) -> None:
        raise KeyboardInterrupt

    done = delete_patient(session, *args, **words)
    event.listen(session, "before_commit", lost)
    return done
