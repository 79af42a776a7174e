"""A folder and a zip dropped as datasets: sent in parts, with their paths, and inspected next."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.domain.roles import Role
from app.records import Dataset, DatasetFile
from tests.browser.conftest import SignIn
from tests.browser.pages import stored
from tests.builders import a_png


def dropped(page: Any, path: Path) -> None:
    box = page.locator("#drop").bounding_box()
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 40, "y": box["y"] + 40}
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    page.wait_for_url("**/training/datasets/*", timeout=60_000)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_dropped_is_sent_with_its_paths_and_inspected_next(
    signed_in: SignIn, tmp_path: Path, kind: str
) -> None:
    ward = tmp_path / "ward"
    for label in ("NORMAL", "PNEUMONIA"):
        (ward / label).mkdir(parents=True)
        (ward / label / "1.png").write_bytes(a_png())
    (ward / ".DS_Store").write_bytes(b"junk")
    paths = {"ward/NORMAL/1.png", "ward/PNEUMONIA/1.png"}
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
            for path in paths:
                archive.write(tmp_path / path, path)
        paths = {"ward.zip"}
    page = signed_in("ada", Role.ADMINISTRATOR)
    page.goto("/training/datasets")
    dropped(page, ward if kind == "folder" else tmp_path / "ward.zip")
    assert page.locator("h1").inner_text() == "ward"
    assert page.locator("[data-job]").count() == 1
    assert {file.path for file in stored(DatasetFile)} == paths
    assert [dataset.state for dataset in stored(Dataset)] == ["inspecting"]
