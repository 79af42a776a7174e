"""Cursors of keyset paging: the last row's place, as text that means nothing to whoever carries it."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from uuid import UUID

from app.errors import BadRequest

_LONGEST = 200
"""Characters; ours have 110 at most, and what is nested deeply is longer."""


def write_cursor(moment: datetime, study_id: UUID) -> str:
    """After the row with this moment and id."""
    text = json.dumps([moment.isoformat(), str(study_id)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The row it stands after. Raises BadRequest for a cursor that is none of ours."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("longer than any that was given out")
        padded = cursor + "=" * (-len(cursor) % 4)
        rank_at, study_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(rank_at)
        if moment.tzinfo is None:
            raise ValueError("a moment without a zone")
        return moment, UUID(study_id)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(
            "That cursor is not one this service gave out. Begin again without a cursor."
        ) from error
