"""What the tests themselves leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import keep_screens


def test_what_every_page_of_any_context_showed_last_is_kept(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "new_context", chromium.new_context)  # as it was, when this has ended
    keep_screens(chromium, tmp_path)
    for pages in (2, 1):
        context = chromium.new_context()
        for _ in range(pages):
            context.new_page().set_content("<p>Seen last.")
        context.close()
        context.close()
    name = "test_what_every_page_of_any_context_showed_last_is_kept"
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"{name}-{number}.png" for number in (1, 2, 3)
    ]
