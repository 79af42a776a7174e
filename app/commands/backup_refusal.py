"""Why there is no backup, or why one is not to be trusted."""

from __future__ import annotations

from pathlib import Path

NOTE = "restoring"
"""In the blob folder from the begin of a restore to its end: the backup's name."""


class BackupRefused(Exception):
    """A backup cannot be made or brought back; `str(error)` is a sentence for the operator."""


class Damaged(BackupRefused):
    """What was read is not what was written."""


def refuse_half_restored(blob_folder: Path) -> None:
    """Raises BackupRefused where a restore has not ended: what is there is a part of a site."""
    try:
        name = (blob_folder / NOTE).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return
    raise BackupRefused(
        f"The restore of the backup {name} into {blob_folder} has not ended, and what is there is a part of "
        "it: run `firstread restore` of it to its end, or empty the database and that folder."
    )
