"""Forms of our own pages: read once, each field a text."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from app.domain.press import Press
from app.errors import BadRequest
from app.web.auth import SESSION_COOKIE


@dataclass(frozen=True)
class Form:
    """The fields of a form; a field that was not sent is empty."""

    fields: tuple[tuple[str, str], ...]

    def text(self, name: str) -> str:
        """The first value, without the blanks around it; a line ends in one character, as pages count it."""
        return next(
            (value.replace("\r\n", "\n").strip() for field, value in self.fields if field == name), ""
        )

    def secret(self, name: str) -> str:
        """The first value as it was typed."""
        return next((value for field, value in self.fields if field == name), "")

    def texts(self, name: str) -> list[str]:
        """All values, as ticked boxes send them."""
        return [value for field, value in self.fields if field == name]

    def named(self, prefix: str) -> dict[str, str]:
        """Values of the fields whose names begin so, by the rest of the name."""
        return {field.removeprefix(prefix): value for field, value in self.fields if field.startswith(prefix)}

    def number(self, name: str) -> int | None:
        """A whole number, or None where the field is empty; raises BadRequest for anything else."""
        value = self.text(name)
        if not value:
            return None
        if not value.isascii() or not value.isdecimal() or len(value) > 9:
            raise BadRequest(f"The field {name} holds a whole number.")
        return int(value)

    def moment(self, name: str) -> datetime | None:
        """An ISO 8601 moment with its zone; None where the field holds none."""
        try:
            moment = datetime.fromisoformat(self.text(name))
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    def id(self, name: str) -> UUID:
        """A UUID; raises BadRequest for anything else."""
        try:
            return UUID(self.text(name))
        except ValueError:
            raise BadRequest(f"The field {name} holds an id.") from None


def press_of(request: Request, form: Form) -> Press:
    """The same of a form of one page that one session sends again with the same fields. Nobody foresees what
    is drawn from it who lacks the session's cookie, and who has that can press the button.
    """
    token = request.cookies.get(SESSION_COOKIE)
    if not token or not form.text("once"):
        return Press.alone()
    said = json.dumps(["press", request.url.path, *form.fields])
    return Press(hmac.digest(token.encode(), said.encode(), "sha256"))


async def _read(request: Request) -> Form:
    form = await request.form()
    fields = tuple((name, value) for name, value in form.multi_items() if isinstance(value, str))
    if any("\0" in text for field in fields for text in field):
        raise BadRequest("A field of the form holds a NUL character.")
    return Form(fields)


Posted = Annotated[Form, Depends(_read)]
