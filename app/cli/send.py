"""`firstread send`: a test sender. DICOM goes by STOW-RS, one instance a request; PNG and JPEG by the REST
API.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.running import running_settings, service_url
from app.dicom.phantom import PHANTOM_STYLES
from app.dicom.write import write_phantom
from app.errors import NotFound, NotSignedIn, Unavailable, Unprocessable

_ATTEMPTS = 5
_RASTER = {b"\x89PNG": ("image/png", ".png"), b"\xff\xd8\xff": ("image/jpeg", ".jpg")}
_ACCEPTED = 202
_REASONS = {
    0x0110: "processing failure",
    0x0122: "not an image that is accepted here",
    0xA700: "too large, or no room",
    0xA900: "its StudyInstanceUID is another",
    0xC000: "cannot be read",
}
"""FailureReason (0008,1197) in words (PS3.18 table I.2-2)."""


@dataclass(frozen=True)
class Parcel:
    """One file to send; `load` gives its bytes when its turn comes."""

    name: str
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Answer:
    """What the service said of one file: `said` is empty where it was simply accepted."""

    name: str
    accepted: bool
    said: str
    bytes_sent: int


def send(
    *,
    paths: Sequence[Path],
    phantoms: int,
    url: str | None,
    key: str | None,
    connections: int,
    first_seed: int,
) -> int:
    """Sends everything, prints one line per file that was not simply accepted, and a sum.

    Returns 0 when every file was accepted, 2 when one was not. Raises a Problem with a sentence when nothing
    can be sent.
    """
    parcels = [*_files(paths), *_phantoms(phantoms, first_seed)]
    if not parcels:
        raise Unprocessable("There is nothing to send: name files or folders, or ask for --phantoms 5.")
    secret = _secret(key)
    base = (url or service_url(running_settings())).rstrip("/")
    started = time.monotonic()
    with httpx.Client(
        base_url=base,
        headers={"Authorization": f"Bearer {secret}", "User-Agent": "firstread-send"},
        timeout=httpx.Timeout(120.0, connect=5.0),
        limits=httpx.Limits(max_connections=connections),
    ) as client:
        answers = _send_all(client, parcels, connections)
    return _tell(answers, seconds=time.monotonic() - started)


def _secret(key: str | None) -> str:
    if key == "-":
        key = sys.stdin.readline()
    if not key or not key.strip():
        raise NotSignedIn(
            "An API key is needed: --key KEY, --key - to read it, or FIRSTREAD_API_KEY. "
            "Make one with: firstread key add test-sender --scope intake"
        )
    return key.strip()


def _files(paths: Sequence[Path]) -> Iterator[Parcel]:
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    yield Parcel(str(file), file.read_bytes)
        elif path.is_file():
            yield Parcel(str(path), path.read_bytes)
        else:
            raise NotFound(f"There is no file or folder {path}.")


def _phantoms(count: int, first_seed: int) -> Iterator[Parcel]:
    for seed in range(first_seed, first_seed + count):
        style = PHANTOM_STYLES[seed % len(PHANTOM_STYLES)]
        yield Parcel(f"phantom {seed} ({style})", partial(write_phantom, style=style, seed=seed))


def _send_all(client: httpx.Client, parcels: Sequence[Parcel], connections: int) -> list[Answer]:
    """The answers, in the order in which they came; at most two files per connection are in memory."""
    answers: list[Answer] = []
    console = Console(stderr=True)
    columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(max_workers=connections) as pool,
    ):
        bar = progress.add_task("", total=len(parcels))
        waiting: set[Future[Answer]] = set()
        left = iter(parcels)
        while True:
            for parcel in left:
                waiting.add(pool.submit(_send_one, client, parcel))
                if len(waiting) >= 2 * connections:
                    break
            if not waiting:
                return answers
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                answers.append(future.result())
                progress.advance(bar)


def _send_one(client: httpx.Client, parcel: Parcel) -> Answer:
    """Sends one file, again after a pause where the service asks for it or does not answer."""
    try:
        body = parcel.load()
    except OSError as error:
        return Answer(parcel.name, False, f"cannot be read: {error.strerror}", 0)
    for attempt in range(_ATTEMPTS):
        try:
            response = _post(client, body)
        except httpx.ConnectError as error:
            if attempt == _ATTEMPTS - 1:
                raise Unavailable(f"Nothing answers at {client.base_url}: {error}.") from error
            pause = 2.0**attempt / 2
        except httpx.HTTPError as error:
            if attempt == _ATTEMPTS - 1:
                return Answer(parcel.name, False, f"the connection broke: {error}", len(body))
            pause = 2.0**attempt / 2
        else:
            if response.status_code not in (429, 503) or attempt == _ATTEMPTS - 1:
                return _judge(parcel.name, response, len(body))
            pause = float(response.headers.get("Retry-After", 2**attempt))
        time.sleep(min(pause, 30.0))
    raise AssertionError("the last attempt returns or raises")


def _post(client: httpx.Client, body: bytes) -> httpx.Response:
    for magic, (media_type, suffix) in _RASTER.items():
        if body.startswith(magic):
            return client.post("/api/v1/studies", files={"files": (f"image{suffix}", body, media_type)})
    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return client.post(
        "/dicomweb/studies",
        content=b"".join((head, body, f"\r\n--{boundary}--\r\n".encode())),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
    )


def _judge(name: str, response: httpx.Response, size: int) -> Answer:
    """What the answer means: STOW-RS of PS3.18 section 10.5, or a problem document (RFC 9457)."""
    try:
        said = response.json()
    except ValueError:
        said = {}
    detail = str(said.get("detail") or said.get("title") or "") if isinstance(said, dict) else ""
    if response.status_code in (200, 201):
        return Answer(name, True, "", size)
    if response.status_code == _ACCEPTED:
        return Answer(name, True, detail, size)
    return Answer(
        name, False, f"HTTP {response.status_code} {detail or _failure_reasons(said)}".strip(), size
    )


def _failure_reasons(said: object) -> str:
    """The FailureReasons (0008,1197) in the FailedSOPSequence (0008,1198) and, for what is no instance, the
    OtherFailuresSequence (0008,119A) of a DICOM JSON answer.
    """
    if not isinstance(said, dict):
        return ""
    failed = [item for tag in ("00081198", "0008119A") for item in said.get(tag, {}).get("Value", [])]
    reasons = [reason for item in failed for reason in item.get("00081197", {}).get("Value", [])]
    return ", ".join(_REASONS.get(reason, f"failure reason {reason:#06x}") for reason in reasons)


def _tell(answers: Sequence[Answer], *, seconds: float) -> int:
    for answer in answers:
        if answer.said:
            print(f"{answer.name}: {answer.said}", file=sys.stderr)
    counted = Counter(answer.accepted for answer in answers)
    megabytes = sum(answer.bytes_sent for answer in answers) / 1e6
    print(
        f"{counted[True]} of {len(answers)} files accepted in {seconds:.1f} s "
        f"({len(answers) / seconds:.1f} files/s, {megabytes / seconds:.1f} MB/s)."
    )
    return 0 if counted[False] == 0 else 2
