"""`firstread up` on a small disk of its own, with the accounts that the clients use."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests.app.cli.starting import Up
from tests.faults.by_dimse import DimseDoor
from tests.faults.going_back import promote_some
from tests.faults.posting import Answer, Door, exchange

_ADMINISTRATOR = {"username": "admin", "password": "a password for tests"}
_DISK_MEGABYTES = 1024
_SETTINGS = {
    # what takes half a minute in a hospital takes seconds here, so that a short run sees it end
    "FIRSTREAD_SCREENING_LEASE": "3",
    "FIRSTREAD_SWEEP_INTERVAL": "1",
    "FIRSTREAD_UNDO_SECONDS": "1",
    "FIRSTREAD_WEBHOOK_TIMEOUT": "2",
    "FIRSTREAD_WEBHOOK_BACKOFF": "0.5",
    "FIRSTREAD_WEBHOOK_ATTEMPTS": "12",
    "FIRSTREAD_DESTINATION_RANGES": "127.0.0.0/8",
    "FIRSTREAD_LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class Service:
    """A running service; `small_disk` is None where this process may not mount one."""

    up: Up
    small_disk: Path | None
    reader_key: str
    doors: tuple[Door | DimseDoor, ...]
    nobody: Door
    """A way in with a key that opens nothing."""
    administrator: dict[str, str]
    """The headers of a browser in which the administrator has signed in."""
    back: list[str]
    """Bundles that read before, the last one first."""

    def ask(self, path: str) -> Answer:
        return exchange(self.up.url, "GET", path, headers={"Accept": "application/json"})

    def addresses(self) -> dict[str, str]:
        """Where its database and broker are."""
        return addresses_in(self.up.home)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What its database says."""
        url = self.addresses()["database_url"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode()).fetchall()


def addresses_in(home: Path) -> dict[str, str]:
    """Where the database and the broker of the service are that runs there."""
    found: dict[str, str] = json.loads((home / "run" / "service.json").read_text())
    return found


@contextmanager
def running(*, webhook: str) -> Iterator[Service]:
    """The service that `make run` starts, sending its results to `webhook`; gone with its data afterwards."""
    top = Path(tempfile.mkdtemp(prefix="fr-"))
    top.chmod(0o711)
    disk = _mounted(top / "disk")
    up = Up((disk or top) / "var", **_SETTINGS)
    try:
        up.start()
        keys = {
            scope: up.command("key", "add", f"faults {scope}", "--scope", scope).stdout.strip()
            for scope in ("intake", "review")
        }
        session = _sign_in(up.url)
        _send_results_to(up.url, session, webhook)
        sender = {"Authorization": f"Bearer {keys['intake']}"}
        stow = Door(
            name="stow", headers=sender | {"Accept": "application/dicom+json"}, path="/dicomweb/studies"
        )
        browser = Door(name="browser", headers=session, path="/api/v1/studies?via=browser")
        nobody = Door(name="nobody", headers={"Authorization": "Bearer fr_opens_nothing"})
        listens = re.search(r"listens on 127\.0\.0\.1, port (\d+)", up.said())
        assert listens, up.said()
        doors = (Door(name="rest", headers=sender), browser, stow, DimseDoor(port=int(listens[1])))
        back = promote_some(up.home, addresses_in(up.home)["database_url"])
        yield Service(up, disk, keys["review"], doors, nobody, session, back)
    finally:
        up.kill()
        if disk is not None:
            subprocess.run(["umount", "--lazy", disk], check=False)
        shutil.rmtree(top, ignore_errors=True)


def _mounted(folder: Path) -> Path | None:
    """A small file system there, or None where only a mightier account may mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return None
    options = f"size={_DISK_MEGABYTES}m,mode=711"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "firstread-faults", folder], capture_output=True, check=False
    )
    return folder if mounted.returncode == 0 else None


def _sign_in(url: str) -> dict[str, str]:
    """The headers of a browser in which the administrator has signed in."""
    form = urlencode(_ADMINISTRATOR).encode()
    kind = "application/x-www-form-urlencoded"
    answer = exchange(url, "POST", "/sign-in", headers={}, body=form, content_type=kind)
    assert answer.status == 303, answer.body
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = exchange(url, "GET", "/upload", headers={"Cookie": cookie, "Accept": "text/html"})
    token = re.search(rb'data-csrf="([^"]+)"', page.body)
    assert token, page.body[:500]
    return {"Cookie": cookie, "X-CSRF-Token": token[1].decode()}


def _send_results_to(url: str, session: dict[str, str], webhook: str) -> None:
    form = urlencode({"name": "faults", "url": webhook}).encode()
    kind = "application/x-www-form-urlencoded"
    answer = exchange(url, "POST", "/destinations", headers=session, body=form, content_type=kind)
    assert answer.status == 200, answer.body
