"""Files that may be asked for in parts, whose refusals are problem documents like any other."""

from __future__ import annotations

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.errors import BadRequest
from app.web.problems import RangeNotSatisfiable


class RangedFile(FileResponse):
    """A file; a Range header that is none raises BadRequest, one beyond its end RangeNotSatisfiable."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the file or the part of it that was asked for."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                self._refuse(message)
            await send(message)

        await super().__call__(scope, receive, sent)

    def _refuse(self, message: Message) -> None:
        if message["status"] == 400:
            raise BadRequest("The Range header cannot be read. Send bytes=0-1023, or no Range header.")
        held = dict(message["headers"]).get(b"content-range", b"bytes */0").decode("latin-1")
        size = int(held.rpartition("/")[2])
        raise RangeNotSatisfiable(
            f"The Range header asks for bytes that are not there; there are {size:,}. Ask for some of those.",
            size=size,
        )
