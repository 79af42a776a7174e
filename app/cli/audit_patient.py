"""Who saw and did what to the studies of one patient, as CSV."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime

from app.cli.running import at_the_terminal, running_settings
from app.queries import audit
from app.queries.audit import TrailFilter
from app.queries.audit_patient import PatientAsked, ask
from app.records.engine import transaction

_COLUMNS = ("no", "at", "who", "kind", "address", "action", "count", "study", "subject", "details")


def _as_text(said: str) -> str:
    """So that no spreadsheet takes what somebody has called themselves for a formula."""
    return f"'{said}" if said.startswith(("=", "+", "-", "@", "\t", "\r")) else said


def report(
    *,
    patient_id: str | None,
    issuer: str | None,
    study: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Every event of the patient's studies is on standard output, and on record that it was asked for.

    Raises Unprocessable where nothing is asked for, NotFound where no study is meant.
    """
    running_settings()
    by = at_the_terminal()
    with transaction() as session:
        found = ask(session, asked=PatientAsked(patient_id=patient_id, issuer=issuer, study=study), by=by)
    lines = csv.writer(sys.stdout)
    lines.writerow(_COLUMNS)
    wanted = TrailFilter(studies=found.study_ids, since=since, until=until)
    told, after = 0, 0
    while True:
        with transaction() as session:
            events = audit.forward(session, wanted=wanted, to=by, after=after)
        if not events:
            break
        for event in events:
            lines.writerow(
                (
                    event.id,
                    event.at.astimezone(UTC).isoformat(timespec="seconds"),
                    _as_text(event.actor_name),
                    event.actor_kind,
                    event.address or "",
                    event.action,
                    event.count,
                    event.study_id,
                    _as_text(event.subject_id or ""),
                    json.dumps(event.details, ensure_ascii=False) if event.details else "",
                )
            )
        told, after = told + len(events), events[-1].id
    studies = "1 study" if len(found.study_ids) == 1 else f"{len(found.study_ids)} studies"
    print(f"{told} events of {studies}.", file=sys.stderr)
