"""`firstread patient`: delete one, with proof."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import Problem

if TYPE_CHECKING:
    from app.commands.deletion import Found
    from app.commands.deletion_again import Again, Proof

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
    from app.commands import blob_removal, deletion
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
    if proof is not None:
        _add(proof, "")  # where that fails nothing is deleted
    with transaction() as session:
        deleted = deletion.delete_patient(
            session, blobs, patient=patient, reason=reason, seen=found.seen, by=by
        )
    print(f"Deleted: {deleted.studies} studies with {deleted.images} images. Proof: {deleted.id}.")
    told = proof is None or _is_told(proof, deleted.proof)
    forget_bytes(blob_removal.remove_due(blobs).waiting, features=deleted.had_place)
    if not told:
        raise typer.Exit(1)


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
    """Delete once more what a restored backup brought back. Exit code 0: all of it; 1: not yet, as told."""
    from app.blobs import Blobs
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import blob_removal
    from app.commands.deletion_again import again

    read = proofs_in(proofs)
    blobs = Blobs(running_settings().blob_folder)
    done = again(read, blobs, by=at_the_terminal())
    print(told_of(read, done))
    forget_bytes(blob_removal.remove_due(blobs).waiting, features=done.had_place)
    if done.refused:
        print("\n".join(done.refused), file=sys.stderr)
        raise typer.Exit(1)


def proofs_in(path: Path) -> list[Proof]:
    """The proofs in the file; raises Unprocessable where it holds anything else."""
    from app.commands.deletion_again import proof_in
    from app.errors import NotFound, Unprocessable

    try:
        lines = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).splitlines()
        return [proof_in(line) for line in lines if line.strip()]
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Unprocessable(f"{path} does not hold what `firstread patient deleted` tells.") from error


def told_of(proofs: list[Proof], done: Again) -> str:
    """What is said of deletions that were done again."""
    return f"Of {len(proofs)} deletions {done.studies} studies were there again, and are deleted."


def forget_bytes(waiting: int, *, features: bool) -> None:
    """After a deletion: what training keeps of pictures is gone from this machine, and what stays is told."""
    from app.commands import deletion_learning
    from app.settings import settings

    if features:
        deletion_learning.forget_features(settings().home / "features")
    if waiting:
        print(f"{waiting} stored files go within the hour: the duty worker removes them.")
    print("Backups made before hold the patient until they age out (docs/retention.md).")


def _tell(found: Found) -> None:
    counts = found.counts
    print(
        f"Would go: {counts.studies} studies, {counts.images} images, {counts.readings} readings, "
        f"{counts.reviews} signatures with {counts.marks} marks, {counts.second_opinions} questions to "
        f"colleagues, {counts.pending} deliveries that were never sent."
    )
    if found.snapshots:
        print(f"{found.snapshots} snapshots lose {found.snapshot_images} images, and their exports go.")
    if found.keeps_place:
        print("Who judges networks and who teaches them stays known, by a keyed hash.")
    stays = {
        "deliveries that other systems have": counts.delivered,
        "deliveries that were tried, so that other systems may have them": counts.uncertain,
        "files of datasets with this patient's key or images": found.dataset_files,
        "studies with the same patient ID of another issuer": found.others_of_the_number,
        "studies of the same name and birth date under another patient ID": found.others_of_the_name,
    }
    if told := ", ".join(f"{number} {what}" for what, number in stays.items() if number):
        print(f"Would stay: {told}.")


def _is_told(path: Path, proof: dict[str, Any]) -> bool:
    """After the commit: a file never tells of a deletion that did not happen."""
    try:
        _add(path, json.dumps(proof) + "\n")
    except Problem as problem:
        print(
            f"The patient is deleted, and the proof is not in that file: {problem.detail} `firstread patient "
            "deleted` tells it.",
            file=sys.stderr,
        )
        return False
    return True


def _add(path: Path, text: str) -> None:
    from app.errors import NotFound

    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NotFound(f"{path} cannot be written: {error.strerror}.") from error
