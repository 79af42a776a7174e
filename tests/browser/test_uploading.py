"""Files on their way in through a browser: chosen, searched, dropped, and told of one by one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.domain.roles import Role
from app.records import DatasetFile, Image, Study
from tests.browser.conftest import SignIn
from tests.browser.pages import outcomes, stored, write_files
from tests.builders import a_dicom, a_png


def test_several_files_are_uploaded_and_each_has_its_own_outcome(signed_in: SignIn, tmp_path: Path) -> None:
    files = write_files(tmp_path / "in")
    page = signed_in("ivan", Role.INTEGRATOR)
    page.goto("/upload")
    page.set_input_files("#files", files)
    said = outcomes(page)
    assert {said["one.dcm"].split(":")[0], said["again.dcm"].split(":")[0]} == {"admitted", "known"}
    assert said["two.png"].startswith("admitted: Admitted.")
    assert said["page.dcm"].startswith("refused: Refused.")
    assert len(said["page.dcm"]) > 40, "the refusal says what was wrong"
    assert page.locator("#summary").inner_text() == "2 admitted, 1 known already, 1 refused"
    assert len(stored(Image)) == 2
    page.locator('tr[data-outcome="admitted"] a').first.click()
    page.wait_for_selector("#viewer[data-state=full]")


def test_a_folder_is_chosen_and_searched_to_the_bottom(signed_in: SignIn, tmp_path: Path) -> None:
    write_files(tmp_path / "disc" / "deep" / "deeper")
    (tmp_path / "disc" / "top.dcm").write_bytes(a_dicom())
    page = signed_in("ivan", Role.INTEGRATOR)
    page.goto("/upload")
    page.set_input_files("#folder", tmp_path / "disc")
    said = outcomes(page)
    assert set(said) == {
        "disc/top.dcm",
        *(f"disc/deep/deeper/{name}" for name in ("one.dcm", "two.png", "again.dcm", "page.dcm")),
    }
    assert len(stored(Image)) == 3


def test_a_folder_and_a_file_are_dropped(signed_in: SignIn, tmp_path: Path) -> None:
    write_files(tmp_path / "disc" / "deep")
    (tmp_path / "alone.dcm").write_bytes(a_dicom())
    page = signed_in("ivan", Role.INTEGRATOR)
    page.goto("/upload")
    box = page.locator("#drop").bounding_box()
    devtools = page.context.new_cdp_session(page)
    data = {
        "items": [],
        "files": [str(tmp_path / "disc"), str(tmp_path / "alone.dcm")],
        "dragOperationsMask": 1,
    }
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 40, "y": box["y"] + 40}
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 5")
    said = outcomes(page)
    assert "alone.dcm" in said
    assert "disc/deep/two.png" in said
    assert len(stored(Image)) == 3


def test_what_the_browser_cannot_read_of_a_drop_is_said_file_by_file(signed_in: SignIn) -> None:
    page = signed_in("ivan", Role.INTEGRATOR)
    page.goto("/upload")
    page.evaluate(
        """() => {
          const broken = (path) => ({
            isFile: true, fullPath: path, file: (good, bad) => bad(new DOMException("Permission denied")),
          });
          const good = {
            isFile: true, fullPath: "/disc/good.txt", file: (resolve) => resolve(new File(["x"], "good.txt")),
          };
          const folder = (path, pieces) => ({
            isFile: false, fullPath: path, createReader: () => ({
              readEntries: (resolve, reject) => {
                const piece = pieces.shift();
                if (piece) resolve(piece); else reject(new DOMException("Gone away"));
              },
            }),
          });
          const disc = folder("/disc", [[broken("/disc/locked.dcm"), folder("/disc/deep", [])], [good], []]);
          const drop = new Event("drop", { bubbles: true, cancelable: true });
          drop.dataTransfer = { items: [{ kind: "file", webkitGetAsEntry: () => disc }] };
          document.dispatchEvent(drop);
        }"""
    )
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 3")
    said = outcomes(page)
    assert "could not read this file (Permission denied). It was not sent" in said["disc/locked.dcm"]
    assert "could not read this folder (Gone away)" in said["disc/deep"]
    assert said["disc/good.txt"].startswith("refused: Refused.")
    assert page.locator("#summary").inner_text() == "3 refused"


def test_metadata_is_given_to_a_png(signed_in: SignIn, tmp_path: Path) -> None:
    (tmp_path / "chest.png").write_bytes(a_png())
    page = signed_in("ivan", Role.INTEGRATOR)
    page.goto("/upload")
    page.click("summary")
    page.fill("#patient_id", "P-7")
    page.fill("#age", "18M")
    page.select_option("#priority", "stat")
    page.set_input_files("#files", tmp_path / "chest.png")
    outcomes(page)
    [study] = stored(Study)
    assert (study.patient_id, study.age_years, study.priority, study.received_via) == (
        "P-7",
        1.5,
        "stat",
        "browser",
    )


@pytest.mark.parametrize(
    ("address", "field", "arrived"),
    [("/upload", "#files", Image), ("/training/datasets", "#files", DatasetFile)],
)
def test_what_is_chosen_before_the_pages_script_is_there_is_sent(
    signed_in: SignIn, tmp_path: Path, address: str, field: str, arrived: Any
) -> None:
    (tmp_path / "chest.png").write_bytes(a_png())
    page = signed_in("ada", Role.ADMINISTRATOR, Role.RADIOLOGIST)
    late = []
    page.route(re.compile(r"/static/js/(upload|datasets)\b"), lambda route: late.append(route))  # noqa: PLW0108, a method takes no attribute
    page.goto(address, wait_until="commit")
    page.set_input_files(field, tmp_path / "chest.png")
    while not late:
        page.wait_for_timeout(20)
    late[0].continue_()
    while not stored(arrived):
        page.wait_for_timeout(50)
