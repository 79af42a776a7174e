"""Cursors of keyset paging: the last row's place as text. Whoever carries it can read it, so of a row whose
place tells what is hidden from them it is the row's id alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from app.errors import BadRequest

_LONGEST = 200
"""Characters; ours have 110 at most, and what is nested deeply is longer."""


def write_cursor(moment: datetime | None, study_id: UUID) -> str:
    """After the row with this moment and id; where it is None it is looked up when the cursor comes back."""
    text = json.dumps([moment and moment.isoformat(), str(study_id)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(
    cursor: str, *, look_up: Callable[[UUID], datetime | None] | None = None
) -> tuple[datetime, UUID]:
    """The row it stands after; `look_up` gives the moment of a row by its id, where the cursor has it not.
    Raises BadRequest for a cursor that is none of ours, and for a row that is gone.
    """
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("longer than any that was given out")
        padded = cursor + "=" * (-len(cursor) % 4)
        rank_at, study_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        row = UUID(study_id)
        moment = look_up(row) if look_up and rank_at is None else datetime.fromisoformat(rank_at)
        if moment is None or moment.tzinfo is None:
            raise ValueError("no moment, or one without a zone")
        return moment, row
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(
            "That cursor is not one this service gave out. Begin again without a cursor."
        ) from error
