"""A Chromium that makes pages ahead of time, driven through its own protocol.

Where Playwright holds a page, Chromium prerenders nothing (PrerenderingDisabledByDevTools). It does for
whoever holds the tab, in which one page follows another; so this speaks the protocol itself, over a pipe.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_LONGEST_ANSWER = 60.0
_FREE = 10
"""File descriptors from here on stand in nobody's way; Chromium reads from 3 and writes to 4."""
_WITH_PIPES = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, "")}


class Tab:
    """One tab, and all pages in it: the one that is shown, and those that were made ahead."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int, *, on_new_page: str) -> None:
        self._process, self._write, self._read = process, write, read
        self._on_new_page = on_new_page
        self._buffer = b""
        self._last = 0
        self._pages: list[str] = []
        self._gone: set[str | None] = set()
        self._answers: dict[int, dict[str, Any]] = {}
        self.made_ahead = 0
        """How many pages were begun before anybody came to them."""
        tabs = self._call("Target.getTargets", filter=[{"type": "tab"}])["targetInfos"]
        tab = self._call("Target.attachToTarget", targetId=tabs[0]["targetId"], flatten=True)["sessionId"]
        self._call(
            "Target.setAutoAttach", tab, autoAttach=True, waitForDebuggerOnStart=True, flatten=True
        )  # fmt: skip

    @property
    def pages(self) -> list[str]:
        """The sessions of all pages of the tab."""
        self._take(wait=0)
        return list(self._pages)

    def shown(self) -> str:
        """The session of the page that is on the screen."""
        for page in reversed(self.pages):
            try:
                if self._evaluate(page, "!document.prerendering"):
                    return page
            except ProtocolError:  # it has gone meanwhile
                continue
        raise ProtocolError("no page is shown")

    def goto(self, address: str) -> None:
        """The address is opened as if it were typed."""
        self._call("Page.navigate", self.shown(), url=address)
        self.wait_for(f"location.href.startsWith({json.dumps(address)}) && document.readyState !== 'loading'")

    def evaluate(self, expression: str) -> Any:
        """What the page on the screen makes of a JavaScript expression; promises are waited for."""
        return self._evaluate(self.shown(), expression)

    def evaluate_ahead(self, expression: str) -> list[Any]:
        """The same in every page that was made ahead and is not shown; one just begun is left out."""
        shown, answers = self.shown(), []
        for page in [page for page in self.pages if page != shown]:
            with suppress(ProtocolError):
                answers.append(self._evaluate(page, expression))
        return answers

    def wait_for(self, expression: str, *, seconds: float = 30, every: float = 0.02) -> Any:
        """The first true value of the expression in the page on the screen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := self.evaluate(expression):
                    return found
            except ProtocolError:  # one page follows another
                pass
            self.rest(every)
        raise TimeoutError(f"{expression} did not come true in {seconds:g} s")

    def rest(self, seconds: float) -> None:
        """So long nothing is done; pages that are made meanwhile are let run."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._take(wait=left)

    def press(self, key: str) -> None:
        """The key goes down and up on the page on the screen."""
        name, code, text = _KEYS.get(key, (key, ord(key.upper()), key))
        page = self.shown()
        what = {"key": name, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", page, type="keyDown", text=text, **what)
        self._call("Input.dispatchKeyEvent", page, type="keyUp", **what)

    def fill(self, **fields: str) -> None:
        """Fields of the page by their ids."""
        for name, value in fields.items():
            self.evaluate(f"document.getElementById({json.dumps(name)}).value = {json.dumps(value)}")

    def click(self, selector: str) -> None:
        """The first element of that kind is clicked."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def _evaluate(self, page: str, expression: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", page, expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise ProtocolError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = self._send(method, session, **parameters)
        deadline = time.monotonic() + _LONGEST_ANSWER
        while number not in self._answers:
            if session in self._gone:
                raise ProtocolError("The page has gone.")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} was not answered")
            self._take(wait=1)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise ProtocolError(f"{method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def _send(self, method: str, session: str | None, **parameters: Any) -> int:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._last

    def _take(self, *, wait: float) -> None:
        while select.select([self._read], [], [], wait)[0]:
            read = os.read(self._read, 1 << 20)
            if not read:
                raise ProtocolError("Chromium has ended")
            *whole, self._buffer = (self._buffer + read).split(b"\0")
            for message in map(json.loads, whole):
                self._note(message)
            wait = 0

    def _note(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
        elif message["method"] == "Target.attachedToTarget":
            self._attached(message["params"])
        elif message["method"] == "Target.detachedFromTarget":
            self._gone.add(gone := message["params"]["sessionId"])
            self._pages = [page for page in self._pages if page != gone]

    def _attached(self, what: dict[str, Any]) -> None:
        page, target = what["sessionId"], what["targetInfo"]
        if target["type"] == "page":
            self._pages.append(page)
            self.made_ahead += target.get("subtype") == "prerender"
            self._send("Page.enable", page)
            self._send("Page.addScriptToEvaluateOnNewDocument", page, source=self._on_new_page)
        self._send("Runtime.runIfWaitingForDebugger", page)


class ProtocolError(Exception):
    """Chromium refused, or a page has gone."""


@contextmanager
def tab(
    chromium: str, *, size: tuple[int, int] = (1920, 1080), on_new_page: str = "", more: Sequence[str] = ()
) -> Iterator[Tab]:
    """The tab of a fresh Chromium without a window; `on_new_page` runs in each page before its scripts."""
    hears, ours = _pipe()
    from_browser, says = _pipe()
    arguments = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-pipe",
        f"--window-size={size[0]},{size[1]}",
        *more,
    )
    with tempfile.TemporaryDirectory(prefix="firstread-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", _WITH_PIPES, str(hears), str(says), chromium),
                *arguments,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(hears, says),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            os.close(hears)
            os.close(says)
            yield Tab(process, ours, from_browser, on_new_page=on_new_page)
        finally:
            os.close(ours)
            os.close(from_browser)
            process.terminate()
            process.wait(20)


def _pipe() -> tuple[int, int]:
    """To be read and to be written; high enough to be moved to 3 and 4."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]
