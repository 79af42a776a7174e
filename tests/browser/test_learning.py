"""The first time: from a folder on the desktop to a network that reads, following only what the pages say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import Role
from app.records.engine import transaction
from models.phantom import phantom
from tests.browser.conftest import SCREENS, SignIn
from tests.worker.datasets import reads_drawings
from worker.learning.learner import Learner

EACH = 130
"""Of so many patients of a class at least fifty are drawn for the locked test, as the gate needs."""
_SIDE = 240
_MINUTES = 10 * 60_000
"""Jobs have the lowest priority, and a test run keeps all processors busy."""


def child(number: int, *, ill: bool) -> bytes:
    """A drawn chest as PNG: easily told, and placed in its picture as no other."""
    draw = np.random.default_rng(number)
    turned = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), draw.uniform(-5, 5), draw.uniform(0.85, 1.15))
    turned[:, 2] += draw.uniform(-0.07, 0.07, 2) * _SIDE
    picture = phantom(number, rows=_SIDE, columns=_SIDE, opacity=ill)
    placed = cv2.warpAffine(picture, turned, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.imencode(".png", placed)[1].tobytes()


@pytest.fixture
def training_worker(database: str, blobs: Blobs, tmp_path: Path) -> Iterator[None]:
    """Whatever waits is done, in real children, until the test ends."""
    stop = threading.Event()
    learner = Learner(blobs=blobs, folder=tmp_path / "jobs", name="tested")

    def work() -> None:
        while not stop.is_set():
            learner.drain(stop=stop)
            stop.wait(0.2)

    working = threading.Thread(target=work, daemon=True)
    working.start()
    yield
    stop.set()
    working.join(30)


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
@pytest.mark.usefixtures("training_worker")
def test_a_folder_becomes_a_network_that_reads(signed_in: SignIn, blobs: Blobs, tmp_path: Path) -> None:
    reads_drawings(blobs, tmp_path, lanes=False)
    folder = tmp_path / "ward seven"
    for number in range(2 * EACH):
        ill = number % 2 == 1
        path = folder / ("PNEUMONIA" if ill else "NORMAL") / f"patient{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(child(number, ill=ill))

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
    waited(page, "Look at paediatric-pneumonia 5")
    look(page, "run")
    page.click("text=Look at paediatric-pneumonia 5")
    waited(page, "It may be promoted:")
    look(page, "candidate")
    page.fill("#propose-reason", "It reads the children of our ward better.")
    page.click("text=Propose it")
    assert "another administrator approves it" in page.inner_text("main")

    colleague = signed_in("ben", Role.ADMINISTRATOR)
    colleague.click("nav >> text=Network")
    colleague.click("main >> text=paediatric-pneumonia 5")
    assert "It reads the children of our ward better." in colleague.inner_text("main")
    colleague.click("text=Approve: from the next batch on it reads")
    colleague.wait_for_selector("text=This network reads now.")
    look(colleague, "promoted")
    candidate = colleague.url.rpartition("/")[2]
    with transaction() as session:
        assert registry.active_bundle(session) == candidate

    colleague.click("nav >> text=Network")
    look(colleague, "networks")
