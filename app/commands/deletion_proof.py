"""What shows that a file is gone: a record of each deletion that holds no patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from app.records import Deletion


def digest_of(images: Sequence[str]) -> str:
    """The hash by which the audit trail vouches for a list of images: of its lines, sorted."""
    return hashlib.sha256("".join(f"{sha256}\n" for sha256 in sorted(images)).encode()).hexdigest()


def proof_of(deletion: Deletion) -> dict[str, Any]:
    """As JSON, a line of its own in a file, by which a restored backup is told what to delete again."""
    return {
        "deletion": str(deletion.id),
        "kind": deletion.kind,
        "deleted_at": deletion.deleted_at.isoformat(),
        "deleted_by": deletion.deleted_by_name,
        "reason": deletion.reason,
        "studies": deletion.studies,
        "images": deletion.images,
        "images_sha256": digest_of(deletion.images),
    }
