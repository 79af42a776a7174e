"""A file of a dataset while it is inspected: what is known of it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

USABLE = "usable"
UNREADABLE = "unreadable"
WITHHELD = "withheld"
DUPLICATE = "duplicate"
CONTRADICTING = "contradicting"
NOT_AN_IMAGE = "not-an-image"
UNLABELLED = "unlabelled"
LEFT_OUT = "left-out"
ARCHIVE = "archive"
MANIFEST = "manifest"


@dataclass
class InspectedFile:
    """One file; the fields as `app.records.DatasetFile` has them."""

    path: str
    sha256: str
    byte_size: int
    label: str | None = None
    subtype: str | None = None
    patient_key: str | None = None
    split: str | None = None
    outcome: str | None = None
    reason: str | None = None
    copy_of: str | None = None
    doubt: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    thumbnail_sha256: str | None = None
    brought_label: str | None = None
    decision: str | None = None
    decided_label: str | None = None
    """What somebody set the label to; not part of the record but by `label`."""
    taken_in: bool = False
    """Used although withheld, as somebody decided."""
    square: int = -1
    """Where its squashed picture is; -1 without one."""
    pixels: str = ""
    """Hash of its picture."""
    unlike: bool = False
    """Unlike what the active network was trained on."""

    def is_out(self, outcome: str, reason: str | None = None, *, copy_of: str | None = None) -> None:
        """This became of it."""
        self.outcome, self.reason = outcome, reason
        if copy_of is not None:
            self.copy_of = copy_of

    @property
    def usable(self) -> bool:
        """A network may be trained on it."""
        return self.outcome == USABLE

    def as_row(self) -> dict[str, Any]:
        """What is recorded of it."""
        beside = ("decided_label", "square", "pixels", "unlike", "decision", "taken_in")
        return {name: value for name, value in vars(self).items() if name not in beside}
