"""Who sends to the DICOM listener, what, and who takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.blobs import StagedFile
from app.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who has an association with us."""

    title: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What the C-STORE request says of the instance."""

    sop_class_uid: str
    sop_instance_uid: str


class Intake(Protocol):
    """What the listener asks of the service. Each may be called by several threads at once."""

    def stage(self) -> StagedFile:
        """A staged file for one image."""

    def keep(self, staged: StagedFile, announced: Announced, sender: Sender) -> None:
        """The image is safe once this returns; raises Problem."""

    def not_received(self, problem: Problem, sender: Sender) -> None:
        """An image did not even come whole into a staged file."""

    def turned_away(self, title: str | None, address: str, *, why: str) -> None:
        """Somebody may not call; the title is None where it was not asked for."""

    def not_understood(self, title: str | None, address: str) -> None:
        """An association was ended for what came; the title is None where not even that was understood."""
