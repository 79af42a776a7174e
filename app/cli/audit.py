"""`firstread audit`: whether the audit trail is as it was sealed, and what it tells."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

audit = typer.Typer(help="The audit trail: verify, export, report.", no_args_is_help=True)
_Since = Annotated[datetime | None, typer.Option(help="Only from this moment on, in UTC.")]
_Until = Annotated[datetime | None, typer.Option(help="Only before this moment, in UTC.")]


@audit.command("verify")
def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="A head that must be in the chain: 64 hexadecimal digits, where its seal is known after the "
            "seal's number and a colon; or a file with heads, such as the syslog server's. Can be repeated."
        ),
    ] = None,
) -> None:
    """Walk through the audit trail and tell whether it is as it was sealed; exit code 1 where it is not.

    That the newest part was cut off shows by heads that were kept elsewhere.
    """
    from app.cli.audit_heads import heads
    from app.cli.audit_progress import bar
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import audit as trail
    from app.queries import audit_chain
    from app.queries.audit_sealing import late_after
    from app.records.engine import transaction

    known = heads(head or [])
    configured = running_settings()
    with bar("events") as report, transaction() as session:
        found = audit_chain.verify(session, known=known, report=report)
    halted = found.unsealed_seconds > late_after(configured.audit_seal_interval)
    with transaction() as session:
        trail.record(
            session,
            action="audit.verified",
            by=at_the_terminal(),
            events=found.events,
            seals=found.seals,
            findings=len(found.findings) + found.untold + halted,
            known_heads=len(known),
        )
    for sentence in found.findings:
        print(sentence)
    if found.untold:
        print(f"And {found.untold} more.")
    print(f"{found.events} events are as {found.seals} seals have them.")
    if found.unsealed:
        print(f"{found.unsealed} are not sealed yet, the oldest of {found.oldest_unsealed} UTC.")
    if found.newest is not None:
        print(f"Newest head: {found.newest.number}:{found.newest.head}")
    if known and not found.findings:
        print(f"{len(known)} given {'head is' if len(known) == 1 else 'heads are'} in the chain.")
    if halted:
        print("Sealing has come to a halt: nothing vouches for those. See the duty worker and its log.")
    if found.all_by_restore:
        print("The audit trail was tampered with, or the restore took what those heads vouch for.")
    elif found.findings:
        print("The audit trail was tampered with.")
    if found.findings or halted:
        sys.exit(1)


@audit.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option(help="File to write, one message a line; it must not exist.")
    ] = None,
    syslog: Annotated[bool, typer.Option("--syslog", help="Send to the configured syslog server.")] = False,
    identified: Annotated[
        bool, typer.Option("--identified", help="With StudyInstanceUID and PatientID.")
    ] = False,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Give out the audit trail as DICOM audit messages (PS3.15 A.5)."""
    from app.cli.audit_export import export as run

    if (out is None) is not syslog:
        raise typer.BadParameter("Give either --out FILE or --syslog.")
    run(out=out, identified=identified, since=_utc(since), until=_utc(until))


@audit.command("patient")
def patient(
    patient_id: Annotated[
        str | None,
        typer.Option(help="PatientID; - asks for it, so that it stays out of the shell's history."),
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="IssuerOfPatientID; any where left out.")] = None,
    study: Annotated[str | None, typer.Option(help="Instead: a study's id or StudyInstanceUID.")] = None,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Tell who saw and did what to the studies of a patient: CSV on standard output, the oldest first."""
    from app.cli.audit_patient import report

    if (patient_id is None) is (study is None):
        raise typer.BadParameter("Give either --patient-id or --study.")
    if patient_id == "-":
        patient_id = str(typer.prompt("PatientID", err=True))
    report(patient_id=patient_id, issuer=issuer, study=study, since=_utc(since), until=_utc(until))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
