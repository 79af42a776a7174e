"""A real Chromium against a real server; every page is watched for CSP violations and foreign requests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.blobs import Blobs
from app.commands import preferences
from app.domain.roles import Role
from app.records.engine import transaction
from app.settings import settings
from app.web.main import create_app
from tests.builders import PASSWORD, a_user
from tests.served import end
from worker.count_snapshot import SnapshotCounter
from worker.inside import Glass

CHROMIUM = Path(os.environ.get("FIRSTREAD_CHROMIUM") or "/usr/bin/chromium")
REPOSITORY = Path(__file__).resolve().parents[2]
SCREENS = REPOSITORY / "build" / "screens"
"""What the tests' pages showed last, kept in CI; git ignores it."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """The browser of this folder's tests; while it is open its event loop holds the main thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs a browser at {CHROMIUM}: install chromium or set FIRSTREAD_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        if os.environ.get("CI"):
            keep_screens(browser, SCREENS)
        yield browser
        for context in browser.contexts:  # of a test that failed before it closed it
            context.close()
        browser.close()


def keep_screens(browser: Any, folder: Path) -> None:
    """What each page shows as its context is closed lies in the folder, named for its test."""
    new_context = browser.new_context
    kept: Counter[str] = Counter()

    def watched(**how: Any) -> Any:
        context = new_context(**how)
        close = context.close
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].rpartition(" ")[0]
        name = re.sub(r"[^\w.-]+", "-", test).strip("-")

        def close_when_kept() -> None:
            for page in context.pages:
                kept[name] += 1
                _keep_screen(page, folder / f"{name}-{kept[name]}.png")
            close()

        context.close = close_when_kept
        return context

    browser.new_context = watched


def _keep_screen(page: Any, file: Path) -> None:
    from playwright.sync_api import Error  # noqa: PLC0415  (with the extra `browser` alone)

    with suppress(Error):  # a page that shows nothing any more
        page.screenshot(path=file, timeout=5000)


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """The web server in a thread of this process; its address."""
    configuration = uvicorn.Config(
        create_app(), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    running = uvicorn.Server(configuration)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.02)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(15)


@pytest.fixture
def server(database: str, broker: str) -> Iterator[str]:
    """The address of a web server that runs until the test ends."""
    with serving() as address:
        yield address


@dataclass
class Watch:
    """What a page must never do."""

    own: str
    problems: list[str] = field(default_factory=list)

    def attach(self, page: Any) -> None:
        """Everything the page logs, breaks or asks for elsewhere is noted."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        text = message.text
        if message.type == "error" and "Failed to load resource" not in text:
            self.problems.append(f"console: {text}")
        elif "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.problems.append(f"CSP: {text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.own, "data:", "blob:", "about:")):
            self.problems.append(f"foreign request: {request.url}")


@pytest.fixture
def watch(server: str) -> Iterator[Watch]:
    """Fails the test when a page broke, violated the CSP or asked another host for anything."""
    watch = Watch(server)
    yield watch
    assert watch.problems == []


SignIn = Callable[..., Any]


@pytest.fixture
def signed_in(chromium: Any, server: str, watch: Watch) -> Iterator[SignIn]:
    """`signed_in("alice", Role.RADIOLOGIST)`: a page of a fresh browser profile, that person signed in."""
    contexts = []

    def sign_in(name: str, *roles: Role, width: int = 1280, height: int = 800, newcomer: bool = False) -> Any:
        with transaction() as session:
            preferences.offer_guide(session, by=a_user(session, name, *roles), offer=newcomer)
        context = chromium.new_context(viewport={"width": width, "height": height}, base_url=server)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watch.attach(page)
        page.goto("/sign-in")
        page.fill("#username", name)
        page.fill("#password", PASSWORD)
        page.click("button.main")
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    yield sign_in
    for context in contexts:
        context.close()


@pytest.fixture
def worker(database: str, broker: str, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Starts a screening worker as an operator does; it has ended when the test has."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [sys.executable, "-c", "from app.cli import main; main()", "worker"]
        with (tmp_path / "worker.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=os.environ.copy(), cwd=REPOSITORY
                )
            )

    yield start
    for process in started:
        end(process)


@pytest.fixture
def looking(database: str, broker: str, blobs: Blobs) -> Iterator[None]:
    """Somebody answers looks while the test runs."""
    stop = threading.Event()

    def answer() -> None:
        answering = (Glass(settings(), blobs=blobs), SnapshotCounter(blobs=blobs))
        while not stop.wait(0.1):
            for one in answering:
                one.drain(stop=stop)

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    stop.set()
    thread.join()
