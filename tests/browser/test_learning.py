"""The first time: from a folder on the desktop to a network that reads, and on: tried, in shadow, promoted by
two, gone back from, taught by a correction and taken out. Only what the pages say leads on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from app.blobs import Blobs
from app.commands import registry
from app.dicom.decoder_pool import DecoderPool
from app.dicom.write import wrap
from app.domain.roles import Role
from app.records import AuditEvent
from app.records.engine import transaction
from app.settings import settings
from models.phantom import phantom
from tests.browser.conftest import SCREENS, SignIn
from tests.browser.pages import stored
from tests.models.conftest import Trained, drawn, trained
from tests.worker.snapshots import reads_now
from worker.count_snapshot import SnapshotCounter
from worker.inside import Glass
from worker.learning.learner import Learner
from worker.network import Network
from worker.recorder import Recorder
from worker.screener import Screener
from worker.sweep import Sweeper

__all__ = ["drawn", "trained"]

EACH = 120
"""Of so many patients of a class at least fifty are drawn for the locked test, as the gate needs."""
_SIDE = 160
_MINUTES = 10 * 60_000
"""Jobs have the lowest priority, and a test run keeps all processors busy."""


def child(number: int, *, ill: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A drawn chest, ill beyond doubt or well, and placed in its picture as no other."""
    draw = np.random.default_rng(number)
    turned = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), draw.uniform(-5, 5), draw.uniform(0.85, 1.15))
    turned[:, 2] += draw.uniform(-0.07, 0.07, 2) * _SIDE
    well, seen = (phantom(number, rows=_SIDE, columns=_SIDE, opacity=drawn) for drawn in (False, ill))
    picture = cv2.addWeighted(seen, 3, well, -2, 0)
    return cv2.warpAffine(picture, turned, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


@pytest.fixture
def reading(database: str, blobs: Blobs, trained: Trained) -> str:
    """sha256 of the network that reads when the story begins."""
    return reads_now(blobs, trained.path)


@pytest.fixture
def workers(
    reading: str, broker: str, blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Studies, jobs (in real children), looks and what is due are seen to until the test ends."""
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "0")
    settings.cache_clear()
    configuration = settings()
    stop = threading.Event()
    learner = Learner(blobs=blobs, folder=tmp_path / "jobs", name="tested")
    answering = (Glass(configuration, blobs=blobs), SnapshotCounter(blobs=blobs))
    sweeper = Sweeper(configuration, blobs=blobs)
    with DecoderPool(processes=1, seconds=20, memory_bytes=2**30) as pool:
        screener = Screener(
            blobs=blobs,
            pool=pool,
            network=Network(blobs, device="cpu", configured=None),
            recorder=Recorder(configuration, ring=lambda _: None),
            configuration=configuration,
            stop=stop,
        )

        def learn() -> None:
            while not stop.wait(0.5):
                learner.drain(stop=stop)

        def screen() -> None:
            while not stop.wait(0.5):
                screener.drain()
                sweeper.sweep()
                for one in answering:
                    one.drain(stop=stop)

        working = [threading.Thread(target=work, daemon=True) for work in (learn, screen)]
        for one in working:
            one.start()
        yield
        stop.set()
        for one in working:
            one.join(30)
        screener.close()
    settings.cache_clear()


def drop(page: Any, place: str, path: Path) -> None:
    """The file is let go over that part of the page."""
    page.locator(place).scroll_into_view_if_needed()
    box = page.locator(place).bounding_box()
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        there = {"x": box["x"] + 40, "y": box["y"] + 40}
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **there})


def waited(page: Any, text: str) -> None:
    """The page says so, once its job is over."""
    page.wait_for_function("() => !document.querySelector('[data-job]')", timeout=_MINUTES)
    assert text in page.inner_text("main"), page.inner_text("main")[:3000]


def look(page: Any, name: str) -> None:
    """Kept for whoever looks; nothing is wider than the window."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SCREENS / f"learning-{name}.png"), full_page=True)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("workers")
def test_a_folder_becomes_a_network_that_reads_and_learns_from_a_correction(
    signed_in: SignIn, reading: str, tmp_path: Path
) -> None:
    folder = tmp_path / "ward seven"
    for number in range(2 * EACH):
        ill = number % 2 == 1
        path = folder / ("PNEUMONIA" if ill else "NORMAL") / f"patient{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", child(number, ill=ill))[1].tobytes())

    page = signed_in("ann", Role.ADMINISTRATOR)
    page.click("nav >> text=Training")
    page.click("li >> text=Bring a dataset")
    page.set_input_files("#folder", folder)
    page.wait_for_url("**/training/datasets/*", timeout=_MINUTES)
    waited(page, "The dataset is ready.")
    look(page, "dataset")
    page.click("text=Take a snapshot")
    page.click("text=See what it would hold")
    page.fill("#name", "Ward seven")
    page.click("text=Take the snapshot")
    look(page, "snapshot")
    page.click("text=Train on it")
    page.click("#train button.main")
    page.wait_for_url("**/training/runs/*")
    waited(page, "Look at drawn 2")
    look(page, "run")
    page.click("text=Look at drawn 2")
    waited(page, "It may be promoted:")
    candidate = page.url.rpartition("/")[2]
    look(page, "candidate")

    # It is shown a radiograph of the desktop.
    (tmp_path / "desktop.png").write_bytes(cv2.imencode(".png", child(9000, ill=True))[1].tobytes())
    assert "Drop radiographs (DICOM, PNG, JPEG) here" in page.inner_text("main")
    drop(page, "#try", tmp_path / "desktop.png")
    page.wait_for_selector("#tried dd", timeout=_MINUTES)
    assert re.match(r"Pneumonia 0\.[89]|Pneumonia 1\.", page.inner_text("#tried dd >> nth=0"), re.I)
    look(page, "tried")

    # In shadow it reads what arrives from now on.
    page.click("text=Shadow run")
    page.click("text=Begin a shadow run")
    page.wait_for_selector("text=Studies that are read from now on appear here.")
    page.click("nav >> text=Upload")
    radiographs = []
    for number in range(9010, 9014):
        radiographs.append(tmp_path / f"{number}.dcm")
        data = wrap(child(number, ill=number % 2 == 1), patient_id=f"P{number}", patient_age="003Y")
        radiographs[-1].write_bytes(data)
    page.set_input_files("#files", radiographs)
    page.wait_for_selector("text=4 admitted", timeout=_MINUTES)

    page.click("nav >> text=Network")
    page.click("main >> text=drawn 2")
    page.click("text=Shadow run")
    for _ in range(300):
        if page.locator("text=4 studies read by both").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    look(page, "shadow")
    page.click("text=Its own page")

    page.fill("#propose-reason", "It reads the children of our ward better.")
    page.click("text=Propose it")
    assert "another administrator approves it" in page.inner_text("main")

    colleague = signed_in("ben", Role.ADMINISTRATOR)
    colleague.click("nav >> text=Network")
    look(colleague, "proposed")
    colleague.click("main >> text=drawn 2")
    assert "It reads the children of our ward better." in colleague.inner_text("main")
    colleague.click("text=Approve: from the next batch on it reads")
    colleague.wait_for_selector("text=This network reads now.")
    look(colleague, "promoted")
    with transaction() as session:
        assert registry.active_bundle(session) == candidate

    # Going back needs nobody else.
    page.click("nav >> text=Network")
    page.fill("#back-reason", "Too many alarms at night.")
    look(page, "networks")
    page.click("text=Roll back to drawn 1")
    page.wait_for_selector("text=This network reads now.")
    with transaction() as session:
        assert registry.active_bundle(session) == reading

    # A reader corrects the network, and it is taught.
    reader = signed_in("lee", Role.RADIOLOGIST)
    reader.click("#rows a >> nth=0")
    reader.wait_for_selector("#viewer[data-state=full]")
    reader.wait_for_timeout(600)
    reader.click("button[data-correct]")
    said = reader.inner_text("#confirm")
    reader.get_by_role("radio", name="Absent" if "present" in said else "Present").check()
    reader.click("#correct button[data-signs]")
    reader.wait_for_selector("#just-signed")

    page.click("nav >> text=Training")
    assert re.search(r"Reviews to learn from: 1\b", page.inner_text("main"))
    look(page, "training")
    page.click("button >> text=Retrain")
    page.wait_for_url("**/training/runs/*")
    waited(page, "Look at drawn 3")
    page.click("text=Look at drawn 3")
    waited(page, "passes")
    look(page, "retrained")
    with transaction() as session:
        assert registry.active_bundle(session) == reading, "nothing is promoted by itself"

    # And it is taken out for use elsewhere.
    page.click("text=Export >> nth=0")
    page.click("text=Export as Core ML")
    waited(page, "Core ML predicts on macOS only")
    look(page, "export")
    with page.expect_download() as taken:
        page.click("text=/Zip, \\d+ MB/")
    assert taken.value.suggested_filename.endswith(".zip")
    assert "bundle.export-fetched" in {event.action for event in stored(AuditEvent)}
