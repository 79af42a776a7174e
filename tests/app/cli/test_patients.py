"""`firstread patient`: delete one with proof, and delete again what a backup brought back."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import Result
from sqlalchemy import select
from typer.testing import CliRunner

from app.blobs import Blobs
from app.cli import cli
from app.cli.refusals import in_words
from app.cli.restore import _delete_again
from app.commands import review
from app.domain.roles import Role
from app.records import Study
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


def test_a_restore_deletes_again_also_what_somebody_held_in_the_backup(database: str, blobs: Blobs) -> None:
    study = a_screened_study(blobs, patient_id="P-1").study_id
    stays = an_admitted_study(blobs, patient_id="P-2")
    with transaction() as session:
        review.claim(session, study_id=study, by=a_user(session, "dr.lee", Role.RADIOLOGIST), minutes=5)
    proof = {"deletion": "d", "studies": [str(study)], "reason": "Request 17 of 2026"}
    said = _delete_again([proof], url=database, configured=settings())
    assert said == "Of 1 deletions 1 studies were there again, and are deleted."
    assert _patients() == ["P-2"]
    assert blobs.has(stays.sha256)
