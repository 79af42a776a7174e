"""A training in a browser: pressed, watched while it learns, and its candidate looked at."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from app.blobs import Blobs
from app.commands import jobs
from app.domain.roles import Role
from app.records import Job, TrainingRun
from app.records.engine import transaction
from tests.app.web.test_training import TOLD, a_run
from tests.browser.conftest import SCREENS, SignIn
from tests.models.conftest import Trained, drawn, trained
from tests.worker.snapshots import drawn_snapshot, reads_now
from worker.learning.learner import Learner

__all__ = ["drawn", "trained"]


@pytest.fixture
def learning(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set it and what waits is done, in real children."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    begin = threading.Event()

    def work() -> None:
        begin.wait(120)
        learner = Learner(blobs=blobs, folder=tmp_path / "jobs", name="tested")
        learner.drain(stop=threading.Event())

    threading.Thread(target=work, daemon=True).start()
    return begin


def test_an_administrator_presses_train_watches_and_comes_to_the_candidate(
    signed_in: SignIn, blobs: Blobs, trained: Trained, learning: threading.Event
) -> None:
    reads_now(blobs, trained.path)
    with transaction() as session:
        drawn_snapshot(session, blobs, trained.data)
    page = signed_in("adam", Role.ADMINISTRATOR)
    page.goto("/training")
    page.click("#train button.main")
    page.wait_for_url(re.compile(r"/training/runs/"))
    assert "Waits for the training worker" in page.inner_text("[data-job]")
    learning.set()
    page.wait_for_function("() => document.querySelector('[data-job-bar]')?.value > 0", timeout=120_000)
    page.wait_for_selector("text=Look at drawn 2", timeout=240_000)
    assert page.locator("#plot-learning path.line-0").count() > 0 or page.locator("#learning").is_visible()
    assert "stressed" in page.inner_text("main")
    assert "It was not compared" in page.inner_text("main"), "the snapshot has no locked test"
    assert page.get_attribute("text=Look at drawn 2", "href").startswith("/models/")


def test_the_curves_grow_as_the_training_tells_more(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        run_id, job_id = a_run(session, blobs)
        assert jobs.claim(session, worker="tested", seconds=600) is not None
        _tell(session, job_id, TOLD[:-1])
    page = signed_in("adam", Role.ADMINISTRATOR)
    page.goto(f"/training/runs/{run_id}")
    page.wait_for_selector("#plot-auc path.line-0")
    assert page.locator("#plot-loss path.line-0").count() == 1
    assert page.locator("#plot-learning path.interval").count() == 3
    assert page.locator("#epochs tbody tr").count() == 1
    before = page.get_attribute("#plot-auc path.line-0", "d")
    with transaction() as session:
        _tell(session, job_id, TOLD[-1:])
    page.wait_for_function("() => document.querySelectorAll('#epochs tbody tr').length === 2")
    assert page.get_attribute("#plot-auc path.line-0", "d") != before
    for address, name in ((f"/training/runs/{run_id}", "training-run"), ("/training", "training")):
        page.goto(address)
        for width, height, theme in ((1280, 800, "dark"), (820, 1180, "light")):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            SCREENS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(SCREENS / f"{name}-{theme}.png"), full_page=True)
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    with transaction() as session:
        assert session.get_one(TrainingRun, run_id).candidate_sha256 is None


def _tell(session: Any, job_id: Any, lines: list[dict[str, Any]]) -> None:
    job = session.get_one(Job, job_id)
    job.told = [*job.told, *lines]
    job.progress = {"stage": "Fine-tuning", "done": 20, "of": 80, "per_second": 1.5, "seconds_left": 40.0}
