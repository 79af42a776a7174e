"""`firstread patient`: delete one, with proof."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.commands.deletion import Found

patients = typer.Typer(help="Delete a patient's studies, with proof.", no_args_is_help=True)


@patients.command("delete")
def delete(
    reason: Annotated[str, typer.Option(help="Why, in one line; it stays for ever, so it names no patient.")],
    patient_id: Annotated[
        str | None,
        typer.Option(help="PatientID; - asks for it, so that it stays out of the shell's history."),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="IssuerOfPatientID; empty for a patient without one.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Instead: a study's id or StudyInstanceUID.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    proof: Annotated[
        Path | None, typer.Option(help="Add the proof to this file; `restore --without-deleted` takes it.")
    ] = None,
) -> None:
    """Delete all studies of one patient. What would go is told first."""
    from app.blobs import Blobs
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import blob_removal, deletion, deletion_learning
    from app.commands.deletion_patient import PatientNamed
    from app.records.engine import transaction

    if (patient_id is None) is (study is None):
        raise typer.BadParameter("Give either --patient-id or --study.")
    configured, by = running_settings(), at_the_terminal()
    if patient_id == "-":
        patient_id = str(typer.prompt("PatientID", err=True))
    blobs = Blobs(configured.blob_folder)
    patient = PatientNamed(patient_id=patient_id, issuer=issuer, study=study)
    with transaction() as session:
        found = deletion.look(session, blobs, patient=patient, by=by)
    _tell(found)
    if not yes and not typer.confirm("Delete this for good?", err=True):
        print("Nothing was deleted.")
        return
    with transaction() as session:
        deleted = deletion.delete_patient(
            session, blobs, patient=patient, reason=reason, seen=found.seen, by=by
        )
        if proof is not None:  # before the commit: without its proof nothing is deleted
            _add(proof, deleted.proof)
    removed = blob_removal.remove_due(blobs)
    if deleted.had_place:
        deletion_learning.forget_features(configured.home / "features")
    print(f"Deleted: {deleted.studies} studies with {deleted.images} images. Proof: {deleted.id}.")
    if removed.waiting:
        print(f"{removed.waiting} stored files go within the hour: the duty worker removes them.")
    print("Backups made before hold the patient until they age out (docs/retention.md).")


@patients.command("deleted")
def deleted() -> None:
    """Tell of every deletion so far, as one JSON object a line; keep it where backups are kept."""
    from app.cli.running import running_settings
    from app.queries.deletions import proofs
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        for proof in proofs(session):
            print(json.dumps(proof))


@patients.command("delete-again")
def delete_again(
    proofs: Annotated[Path, typer.Argument(help="What `firstread patient deleted` told; - reads it.")],
) -> None:
    """Delete once more what a restored backup brought back."""
    from app.blobs import Blobs
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import blob_removal

    read = proofs_in(proofs)
    blobs = Blobs(running_settings().blob_folder)
    print(again(read, blobs, by=at_the_terminal()))
    blob_removal.remove_due(blobs)


def proofs_in(path: Path) -> list[dict[str, Any]]:
    """The proofs in the file; raises Unprocessable where it holds anything else."""
    from uuid import UUID

    from app.errors import NotFound, Unprocessable

    try:
        lines = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        for proof in found:
            [UUID(study) for study in proof["studies"]]
            str(proof["reason"] + proof["deletion"])
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unprocessable(f"{path} does not hold what `firstread patient deleted` tells.") from error
    return found


def again(proofs: list[dict[str, Any]], blobs: Any, *, by: Any, held_too: bool = False) -> str:
    """Each deletion is done once more where its studies are there; says how many were."""
    from uuid import UUID

    from app.commands import deletion
    from app.records.engine import transaction

    studies = 0
    for proof in proofs:
        with transaction() as session:
            done = deletion.delete_again(
                session,
                blobs,
                ids=[UUID(study) for study in proof["studies"]],
                reason=proof["reason"],
                by=by,
                held_too=held_too,
            )
        studies += done.studies if done else 0
    return f"Of {len(proofs)} deletions {studies} studies were there again, and are deleted."


def _tell(found: Found) -> None:
    counts = found.counts
    print(
        f"Would go: {counts.studies} studies, {counts.images} images, {counts.readings} readings, "
        f"{counts.reviews} signatures with {counts.marks} marks, {counts.second_opinions} questions to "
        f"colleagues, {counts.pending} deliveries that were not sent."
    )
    if found.snapshots:
        print(f"{found.snapshots} snapshots lose {found.snapshot_images} images, and their exports go.")
    if found.keeps_place:
        print("Who judges networks and who teaches them stays known, by a keyed hash.")
    stays = {
        "deliveries that other systems have": counts.delivered,
        "files of datasets with this patient's key or images": found.dataset_files,
        "studies with the same patient ID of another issuer": found.others_of_the_number,
        "studies of the same name and birth date under another patient ID": found.others_of_the_name,
    }
    if told := ", ".join(f"{number} {what}" for what, number in stays.items() if number):
        print(f"Would stay: {told}.")


def _add(path: Path, proof: dict[str, Any]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.write(json.dumps(proof) + "\n")
        file.flush()
        os.fsync(file.fileno())
