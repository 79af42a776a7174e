"""Why there is no backup, or why one is not to be trusted."""

from __future__ import annotations


class BackupRefused(Exception):
    """A backup cannot be made or brought back; `str(error)` is a sentence for the operator."""


class Damaged(BackupRefused):
    """What was read is not what was written."""
