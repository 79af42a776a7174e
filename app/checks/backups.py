"""A check of the site's backups, as far as they are on record: where they lie only cron knows."""

from __future__ import annotations

from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.queries import backups
from app.records.engine import transaction
from app.settings import Settings


def last_backup(configured: Settings) -> str:
    """The last whole one is young enough, and lacks nothing."""
    with transaction() as session:
        known = backups.backups(session)
    if known.begun_seconds is None and known.whole_seconds is None:
        return sentence("None has been made yet. Run firstread backup, by cron from then on.")
    late = configured.backup_late_hours * 3600
    if known.whole_seconds is None:
        if (known.begun_seconds or 0.0) > late:
            raise Wrong(sentence("No backup that was begun has come to its end. See what its log says."))
        return sentence("The first one is being made.")
    hours = f"{known.whole_seconds / 3600:.0f}"
    if known.whole_seconds > late:
        raise Wrong(
            sentence(
                f"The last whole backup was made {hours} hours ago. See what cron says of firstread backup,"
                " and that its disk is there and has room."
            )
        )
    if known.lost:
        count = known.lost
        raise Wrong(
            sentence(
                f"The last backup was made {hours} hours ago, when the site had lost stored bytes: {count}."
                " Bring them back from an older one, and look at the disk."
            )
        )
    return sentence(f"The last one was made {hours} hours ago and is whole.")
