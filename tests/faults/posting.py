"""HTTP by hand: a request whose connection can be cut at any byte, and the ways in as bytes."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.faults.pictures import Picture

_BOUNDARY = "firstread-faults"
_PATIENCE_SECONDS = 45.0


class Unanswered(Exception):
    """Nobody knows what became of the request: the connection broke, or no answer came in time."""


class Cut(Unanswered):
    """We broke the connection ourselves."""


@dataclass(frozen=True)
class Answer:
    """What came back, whole."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way in, with the credentials that open it."""

    name: str
    headers: Mapping[str, str]
    path: str = "/api/v1/studies"

    @property
    def is_stow(self) -> bool:
        return self.path.startswith("/dicomweb")

    @property
    def is_for_dicom(self) -> bool:
        return self.is_stow

    def takes(self, picture: Picture) -> bool:
        """Whether this is a way in for such a file."""
        return not self.is_stow or picture.is_dicom

    def sent(self, picture: Picture) -> Picture:
        """The file as it is stored when it comes this way."""
        return picture

    def post(
        self, url: str, pictures: Sequence[Picture], *, cut_at: float | None, abruptly: bool
    ) -> tuple[int, list[bool]]:
        """Status of the answer, and of each picture whether it says that it is safe. Raises Unanswered."""
        body, content_type = self.body(pictures)
        answer = exchange(
            url,
            "POST",
            self.path,
            headers=self.headers,
            body=body,
            content_type=content_type,
            cut_at=cut_at,
            abruptly=abruptly,
        )
        return answer.status, self.stored(answer, pictures)

    def body(self, pictures: Sequence[Picture]) -> tuple[bytes, str]:
        """The pictures as this way in takes them, and the media type."""
        if self.is_stow:
            heads = [b"Content-Type: application/dicom"] * len(pictures)
            kind = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
        else:
            heads = [
                f'Content-Disposition: form-data; name="files"; filename="{number}"'.encode()
                for number in range(len(pictures))
            ]
            kind = f"multipart/form-data; boundary={_BOUNDARY}"
        edge = f"--{_BOUNDARY}".encode()
        parts = [
            b"%s\r\n%s\r\n\r\n%s\r\n" % (edge, head, picture.data)
            for head, picture in zip(heads, pictures, strict=True)
        ]
        return b"".join([*parts, edge, b"--\r\n"]), kind

    def stored(self, answer: Answer, pictures: Sequence[Picture]) -> list[bool]:
        """Of each picture, whether the answer says that it is safe."""
        if answer.status not in (200, 202):
            return [False] * len(pictures)
        said = answer.json()
        if self.is_stow:
            kept = {item["00081155"]["Value"][0] for item in said.get("00081199", {}).get("Value", [])}
            return [picture.sop_instance_uid in kept for picture in pictures]
        outcomes = [file["outcome"] for file in said["files"]]
        assert len(outcomes) == len(pictures), said
        return [outcome in ("admitted", "duplicate") for outcome in outcomes]


def exchange(
    url: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    content_type: str = "application/json",
    cut_at: float | None = None,
    abruptly: bool = False,
) -> Answer:
    """The answer to one request on a connection of its own.

    With `cut_at`, from 0 to 1, the connection is cut after that share of the bytes (1: sent whole, and nobody
    waits for the answer), `abruptly` by a reset. Raises Unanswered.
    """
    place = urlsplit(url)
    said = {"Host": place.netloc, "Connection": "close", "Accept": "*/*", **headers}
    if body or method == "POST":
        said |= {"Content-Type": content_type, "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    message = "\r\n".join([*lines, "", ""]).encode() + body
    try:
        with socket.create_connection((place.hostname, place.port), timeout=_PATIENCE_SECONDS) as connection:
            if cut_at is not None:
                connection.sendall(message[: round(cut_at * len(message))])
                if abruptly:
                    reset = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                raise Cut
            connection.sendall(message)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            content = response.read()
            return Answer(response.status, content, dict(response.headers))
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(type(error).__name__) from error
