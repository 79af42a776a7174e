"""The description of the interface as a page: it works under our CSP and asks nobody else for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.conftest import Watch


def test_the_interface_can_be_read_and_tried_in_the_browser(
    chromium: Any, server: str, watch: Watch, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    watch.attach(page)
    page.goto(f"{server}/docs")
    page.wait_for_selector(".opblock-tag-section")
    tags = page.locator(".opblock-tag").all_inner_texts()
    assert any("STOW-RS" in tag for tag in tags)
    page.locator("#operations-operations-healthz_healthz_get").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.wait_for_selector(".live-responses-table")
    assert '"alive"' in page.locator(".live-responses-table").inner_text()
    page.screenshot(path=tmp_path / "docs.png")
    context.close()
