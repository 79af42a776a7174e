"""Checks of a service that runs: database, broker, workers, the network, what waits too long."""

from __future__ import annotations

from datetime import UTC, datetime

from app import counted, queue
from app.checks import Check
from app.checks.backups import last_backup
from app.checks.dimse import dicom_listener
from app.checks.machine import MACHINE, bundle_file, folder_of_blobs, stored_bytes
from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.errors import Unavailable
from app.language import N_
from app.queries import audit_sealing, operations, soundness
from app.records.engine import transaction
from app.settings import Settings

_CLOCKS_MAY_DIFFER_SECONDS = 5.0
_SWEEP_IS_LATE_SECONDS = 60.0
_DELIVERY_IS_LATE_SECONDS = 600.0


def database(_configured: Settings) -> str:
    """It answers."""
    try:
        with transaction() as session:
            soundness.clock(session)
    except Unavailable as error:
        raise Wrong(
            sentence(
                "The database does not answer. See that PostgreSQL runs and that FIRSTREAD_DATABASE_URL is"
                " its address."
            )
        ) from error
    return sentence("It answers.")


def schema(_configured: Settings) -> str:
    """It is the one this version needs."""
    import migrations  # noqa: PLC0415, only who looks pays for Alembic

    with transaction() as session:
        present = soundness.revision(session)
    wanted = migrations.newest_revision()
    if present is None:
        raise Wrong(sentence("The database has no tables yet. Run firstread migrate."))
    if present not in migrations.revisions():
        raise Wrong(
            sentence(
                f"The database has the schema {present}, which is newer than this version. Start the version"
                " that made it, or restore a backup from before the upgrade."
            )
        )
    if present != wanted:
        raise Wrong(
            sentence(
                f"The database has the schema {present}, and this version needs {wanted}. Run firstread"
                " migrate."
            )
        )
    return sentence(f"It has the schema {present}.")


def clock(_configured: Settings) -> str:
    """This machine and the database agree on the time."""
    before = datetime.now(UTC)
    with transaction() as session:
        theirs = soundness.clock(session)
    middle = before + (datetime.now(UTC) - before) / 2
    seconds = f"{abs((theirs - middle).total_seconds()):.1f}"
    if float(seconds) > _CLOCKS_MAY_DIFFER_SECONDS:
        raise Wrong(
            sentence(
                f"The clocks of this machine and of the database differ by {seconds} s, and leases and waits"
                " are wrong by as much. Set both by NTP."
            )
        )
    return sentence(f"The clocks of this machine and of the database differ by {seconds} s.")


def broker(configured: Settings) -> str:
    """It answers."""
    queue.configure(configured)
    if not queue.ready():
        raise Wrong(
            sentence(
                "The broker does not answer; uploads are kept and screened once it does. See that Valkey runs"
                " and that FIRSTREAD_BROKER_URL is its address."
            )
        )
    return sentence("It answers.")


def screening_worker(_configured: Settings) -> str:
    """One has reported."""
    if not (count := _at_work(queue.SCREENING_QUEUE)):
        raise Wrong(
            sentence("No screening worker has reported for 15 seconds. Start one with firstread worker.")
        )
    return sentence(f"At work: {count}.")


def duty_worker(configured: Settings) -> str:
    """It sweeps."""
    ago = counted.counts().swept_seconds_ago
    if ago is None:
        raise Wrong(sentence("No duty worker has swept yet. Start one with firstread duty."))
    seconds = f"{ago:.0f}"
    if ago > max(_SWEEP_IS_LATE_SECONDS, 4 * configured.sweep_interval):
        raise Wrong(
            sentence(
                f"The duty worker swept last {seconds} s ago, and results are not delivered. See its log, or"
                " start one with firstread duty."
            )
        )
    return sentence(f"It swept {seconds} s ago.")


def training_worker(_configured: Settings) -> str:
    """One has reported."""
    if not (count := _at_work(queue.TRAINING_QUEUE)):
        raise Wrong(
            sentence(
                "No training worker has reported for 15 seconds; reading does not need one. Start one with"
                " firstread trainer."
            )
        )
    return sentence(f"At work: {count}.")


def network(configured: Settings) -> str:
    """The promoted bundle's file is whole, and no worker refuses it."""
    with transaction() as session:
        bundle = soundness.promoted(session)
    if bundle is None:
        raise Wrong(
            sentence("No network has been promoted. A screening worker promotes the first when it starts.")
        )
    bundle_file(configured, bundle.sha256)
    for facts in queue.workers().values():
        if "refused" in facts:
            said_why = facts["refused"]
            raise Wrong(sentence(f"A screening worker reads with no network. {said_why}"))
    name, version = bundle.name, bundle.version
    return sentence(f"Promoted: {name} {version}.")


def waiting(configured: Settings) -> str:
    """No study waits too long for the network."""
    with transaction() as session:
        oldest = operations.backlog(session).oldest_unscreened_seconds or 0.0
    minutes = f"{oldest / 60:.0f}"
    if oldest > configured.stalled_minutes * 60:
        raise Wrong(
            sentence(
                f"A study has waited {minutes} minutes for the network. See that a screening worker runs and"
                " has a network."
            )
        )
    return sentence("No study waits too long for the network.")


def deliveries(_configured: Settings) -> str:
    """No result is late."""
    with transaction() as session:
        backlog = operations.backlog(session)
    if dead := backlog.deliveries["dead"]:
        raise Wrong(
            sentence(
                f"Results that could not be delivered after all attempts: {dead}. Send them again from the"
                " page Destinations."
            )
        )
    late = backlog.oldest_delivery_seconds or 0.0
    minutes = f"{late / 60:.0f}"
    if late > _DELIVERY_IS_LATE_SECONDS:
        raise Wrong(
            sentence(
                f"A result has been due for {minutes} minutes. See that a duty worker runs and delivers."
            )
        )
    return sentence("No result is late.")


def audit_trail(configured: Settings) -> str:
    """It is sealed, and its heads are where the site wants them."""
    late = audit_sealing.late_after(configured.audit_seal_interval)
    with transaction() as session:
        unsealed = audit_sealing.unsealed_seconds(session)
        sending = audit_sealing.sending(session, messages=configured.audit_messages != "off")
    minutes = f"{unsealed / 60:.0f}"
    if unsealed > late:
        raise Wrong(
            sentence(
                f"The audit trail has not been sealed for {minutes} minutes. See that a duty worker runs; its"
                " log says whether it waits for a transaction."
            )
        )
    seconds = f"{unsealed:.0f}"
    if configured.audit_syslog is None:
        return sentence(f"It is sealed up to {seconds} s ago.")
    if sending.error is not None:
        said_why = sending.error
        raise Wrong(
            sentence(
                "Seals on the audit trail do not leave the house. See that the syslog server runs and that"
                f" FIRSTREAD_AUDIT_SYSLOG is its address. {said_why}"
            )
        )
    minutes = f"{sending.waiting_seconds / 60:.0f}"
    if sending.waiting_seconds > late:
        raise Wrong(
            sentence(
                f"A sealed part of the audit trail has waited {minutes} minutes to be sent to syslog. See"
                " that a duty worker runs and has FIRSTREAD_AUDIT_SYSLOG too."
            )
        )
    return sentence(f"It is sealed up to {seconds} s ago, and the syslog server has the heads.")


def _at_work(part: str) -> int:
    return sum(facts.get("part") == part for facts in queue.workers().values())


_TABLES = ("database", "schema")

SERVICE = (
    *MACHINE,
    Check(name=N_("database"), look=database),
    Check(name=N_("schema"), look=schema, after=("database",)),
    Check(name=N_("clock"), look=clock, after=("database",)),
    Check(name=N_("broker"), look=broker),
    Check(name=N_("screening worker"), look=screening_worker, after=("broker",)),
    Check(name=N_("duty worker"), look=duty_worker, after=("broker",)),
    Check(name=N_("training worker"), look=training_worker, after=("broker",)),
    Check(name=N_("DICOM listener"), look=dicom_listener, after=("broker",)),
    Check(name=N_("folder of stored bytes"), look=folder_of_blobs),
    Check(
        name=N_("stored images"),
        look=stored_bytes,
        after=(*_TABLES, "folder of stored bytes"),
        good_for_seconds=300,
    ),
    Check(name=N_("network"), look=network, after=(*_TABLES, "folder of stored bytes"), good_for_seconds=30),
    Check(name=N_("waiting studies"), look=waiting, after=_TABLES),
    Check(name=N_("deliveries"), look=deliveries, after=_TABLES),
    Check(name=N_("audit trail"), look=audit_trail, after=_TABLES),
    Check(name=N_("last backup"), look=last_backup, after=_TABLES),
)
"""Everything that is looked at where the service runs."""
