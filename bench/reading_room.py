"""From key `1` to the next radiograph on the screen, in a real Chromium.

    .venv/bin/python -m bench.reading_room [--studies 50] [--pause 1.5]

The service `make run` starts: full-size JPEGs are posted and read by the network first. Then a radiograph is
looked at for `pause` seconds, signed with the key, and the next one opens: that often. The clock starts when
the page hears of the key and stops at the second frame after the viewer has painted on a page that is shown,
first what came first of preview and picture, then the full depth. Both ends are the browser's clock.

The baselines, in the same run and in turn: the same where the browser makes no page ahead of time, and that
with what the server has decoded taken away before the key is pressed, as if nothing were ready.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np

from bench.chromium import Tab, tab
from bench.pictures import fresh_jpegs, originals
from bench.service import Sender, Service, post_study, running_service

CHROMIUM = os.environ.get("FIRSTREAD_CHROMIUM") or "/usr/bin/chromium"
PAINTED_MS = 300.0
"""What must hold of the 95th percentile."""
AHEAD, DECODED, NOTHING = "page made ahead", "pictures decoded ahead", "nothing ahead"
WAYS = (AHEAD, DECODED, NOTHING)
_PASSWORD = "a reader of this bench"
_CLOCK = """
(() => {
  const clock = () => performance.timeOrigin + performance.now();
  const seen = {};
  const covered = () => document.getElementById("content")?.dataset.ahead !== undefined;
  const uncovered = () =>
    covered() && new Promise((resolve) => addEventListener("study-shown", resolve, true));
  const note = async (what) => {
    await uncovered();
    requestAnimationFrame(() => requestAnimationFrame(() => { seen[what] ??= clock(); }));
  };
  addEventListener("keydown", (event) => {
    if (event.key === "1") localStorage.setItem("pressed", clock());
  }, true);
  addEventListener("radiograph-painted", () => note("first"), true);
  new PerformanceObserver((list) => {
    if (list.getEntriesByName("full-depth-painted").length) note("full");
  }).observe({ type: "mark", buffered: true });
  window.sinceTheKey = () => {
    const pressed = Number(localStorage.getItem("pressed"));
    return seen.first && seen.full ? [seen.first - pressed, seen.full - pressed] : null;
  };
})();
"""


def one_time_password(service: Service) -> str:
    """That of a radiologist called reader, who is made."""
    added = subprocess.run(
        [sys.executable, "-m", "app.cli", "user", "add", "reader", "--role", "radiologist"],
        env=os.environ | {"FIRSTREAD_HOME": str(service.home)},
        cwd=Path(__file__).resolve().parent.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return added.stdout.strip()


def sign_in(page: Tab, service: Service) -> None:
    """The reader is signed in."""
    once = one_time_password(service)
    page.goto(f"{service.url}/sign-in")
    page.fill(username="reader", password=once)
    page.click("button.main")
    page.wait_for("!!document.getElementById('again')")
    page.fill(current=once, new=_PASSWORD, again=_PASSWORD)
    page.click("main button.main")
    page.wait_for("location.pathname !== '/password' && document.readyState === 'complete'")


def look(page: Tab, *, seconds: float, ahead: bool) -> None:
    """The radiograph stands at full depth and has been looked at for so long; `ahead`: the browser may make
    the next page meanwhile.
    """
    page.wait_for("window.sinceTheKey?.() && document.querySelector('#viewer[data-state=full]') && true")
    if not ahead:
        page.evaluate("document.getElementById('next-study')?.removeAttribute('id')")
    page.rest(seconds)


def sign_and_wait(page: Tab) -> tuple[float, float]:
    """Milliseconds from the key to the next radiograph, and to its full depth."""
    before = page.evaluate("location.pathname")
    page.press("1")
    first, full = page.wait_for(f"location.pathname !== '{before}' && window.sinceTheKey?.()")
    return float(first), float(full)


def sign_without_opinion(page: Tab) -> None:
    """A study without an opinion to confirm (withheld, or read blind) is signed, and the next one opens."""
    before = page.evaluate("location.pathname")
    page.press("2")
    page.wait_for("document.getElementById('correction').open")
    page.press("n")
    page.wait_for("document.getElementById('content').dataset.seen !== undefined")
    page.evaluate("document.getElementById('correct').requestSubmit()")
    page.wait_for(f"location.pathname !== '{before}' && !!document.getElementById('viewer')")


def forget_pictures(service: Service) -> None:
    """What the server has decoded is gone."""
    for file in (service.home / "cache" / "pictures").iterdir():
        file.unlink(missing_ok=True)


def say(name: str, milliseconds: list[float]) -> None:
    """p50 and p95."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    print(f"{name:<66} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--pause", type=float, default=1.5)
    arguments = parser.parse_args()
    if not Path(CHROMIUM).exists():
        print(f"This bench needs a browser at {CHROMIUM}: install chromium or set FIRSTREAD_CHROMIUM.")
        return

    took: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service() as service,
        tab(CHROMIUM, on_new_page=_CLOCK) as page,
    ):
        images = fresh_jpegs(originals(Path(folder)))
        sender = Sender(service.url, headers={"Authorization": f"Bearer {service.key}"})
        needed = (len(WAYS) + 1) * (arguments.studies + 2)  # some are drawn to be read blind
        studies = [post_study(sender, image, age="4Y")[1] for image in islice(images, needed)]
        service.await_screened(studies)
        sign_in(page, service)
        page.goto(service.url)
        page.click("#rows a.name")
        for turn in range(arguments.studies + 1):
            for way in WAYS:
                look(page, seconds=arguments.pause, ahead=way == AHEAD)
                while not page.evaluate("!!document.getElementById('confirm')"):
                    sign_without_opinion(page)
                    look(page, seconds=arguments.pause, ahead=way == AHEAD)
                if way == NOTHING:
                    forget_pictures(service)
                measured = sign_and_wait(page)
                if turn > 0:  # the first warms up
                    took[way].append(measured)
    for way in WAYS:
        say(f"{way}: key 1 to the next radiograph", [first for first, _ in took[way]])
        say(f"{way}: key 1 to its full depth", [full for _, full in took[way]])
    p95 = float(np.percentile([first for first, _ in took[AHEAD]], 95))
    print(f"{page.made_ahead} pages were made ahead of time")
    print(f"under {PAINTED_MS:g} ms at the 95th percentile: {'yes' if p95 < PAINTED_MS else 'no'}")


if __name__ == "__main__":
    main()
