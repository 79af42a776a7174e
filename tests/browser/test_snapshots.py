"""From a dataset to a snapshot, following only what the pages say."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.roles import Role
from app.records.engine import transaction
from tests.app.commands.labelled import a_dataset, patients
from tests.browser.conftest import SCREENS, SignIn


@pytest.mark.usefixtures("looking")
def test_an_administrator_looks_takes_and_asks_for_an_export(signed_in: SignIn) -> None:
    with transaction() as session:
        unreadable = [{"path": f"broken{at}.dcm", "outcome": "unreadable"} for at in range(3)]
        a_dataset(session, [*patients(400), *patients(150, label="NORMAL", prefix="n"), *unreadable])
    page = signed_in("admin", Role.ADMINISTRATOR)
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.goto("/training/snapshots")
    page.get_by_role("button", name="See what it would hold").click()
    page.wait_for_selector("text=It would hold 550 images")
    page.screenshot(path=SCREENS / "snapshot-preview.png", full_page=True)
    page.get_by_label("Name").fill("Children, autumn")
    page.get_by_role("button", name="Take the snapshot").click()
    page.wait_for_selector("text=550 labelled images, frozen")
    assert "Used 0 of 10 times." in page.inner_text("main")
    assert "Files of the datasets that cannot be used, left out: 3." in page.inner_text("main")
    page.get_by_role("button", name="Make the export").click()
    page.wait_for_selector("text=Waits for the training worker")
    page.screenshot(path=SCREENS / "snapshot.png", full_page=True)
    for width, height in ((820, 1180), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=SCREENS / f"snapshot-{width}.png")
    with page.expect_download() as manifest:
        page.get_by_role("link", name="Download the manifest (CSV)").click()
    assert manifest.value.suggested_filename == "Children, autumn.csv"


def test_a_page_that_waits_for_a_count_stays_while_the_service_starts_anew(signed_in: SignIn) -> None:
    with transaction() as session:
        a_dataset(session, patients(20))
    page = signed_in("admin", Role.ADMINISTRATOR)
    page.goto("/training/snapshots")
    page.get_by_role("button", name="See what it would hold").click()
    page.wait_for_selector("#looking")
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.resource_type)
        route.fulfill(status=502, content_type="text/html", body="Bad Gateway")

    page.route("**/training/snapshots?*", refuse)
    for _ in range(100):
        if len(asked) > 1:
            break
        page.wait_for_timeout(50)
    assert set(asked) == {"fetch"}, "it asks again and shows nobody the proxy's page"
    assert page.locator("#looking").is_visible()
