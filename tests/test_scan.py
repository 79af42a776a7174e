"""The bill of materials names what was copied, and no advisory that nobody was asked about passes unsaid."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"css", "js", "viewer"}
"""Folders of static files that nobody else wrote."""
_ADVISORY = {"id": "PYSEC-2017-94", "aliases": ["CVE-2013-7459"], "fix_versions": []}


@pytest.fixture
def scan() -> ModuleType:
    """`.ci/scan`."""
    loader = SourceFileLoader("scan", str(ROOT / ".ci" / "scan"))
    spec = importlib.util.spec_from_loader("scan", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_folder_of_static_files_is_ours_or_in_the_bill_with_version_and_licence(
    scan: ModuleType,
) -> None:
    copied = scan.copied()
    assert [(part["name"], part["licenses"]) for part in copied] == [
        ("swagger-ui-dist", [{"license": {"id": "Apache-2.0"}}])
    ]
    paths = {part["properties"][0]["value"] for part in copied}
    folders = {str(path.relative_to(ROOT)) for path in scan.STATIC.iterdir() if path.is_dir()}
    assert folders == paths | {f"app/web/static/{name}" for name in OURS}


def test_the_viewer_and_what_builds_it_are_in_the_bill(scan: ModuleType) -> None:
    first, *tools = scan.viewer()
    assert (first["name"], "scope" in first) == ("firstread-viewer", False)
    assert {"vite", "typescript", "rolldown"} <= {tool["name"] for tool in tools}
    for tool in tools:
        assert tool["scope"] == "excluded"
        assert tool["version"] and tool["licenses"][0]["license"]["id"], tool
        assert len(tool["hashes"][0]["content"]) == 128, tool


@pytest.mark.parametrize(
    ("asked", "reason", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], "", 0, "0 in 1 packages"),
        ([{"name": "a", "version": "1", "vulns": [_ADVISORY]}], "mirrors", 1, "a 1: PYSEC-2017-94"),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}],
            "mirrors",
            1,
            ": b",
        ),
        ([{"name": "a", "skip_reason": "?"}], "", 1, "NO ADVISORY WAS ASKED ABOUT"),
        ([{"name": "a", "skip_reason": "?"}], "mirrors", 0, "Accepted here: mirrors."),
    ],
)
def test_only_an_index_without_any_advisory_may_pass_unasked_and_only_for_a_reason(
    scan: ModuleType,
    capsys: pytest.CaptureFixture[str],
    asked: list[dict[str, Any]],
    reason: str,
    code: int,
    said: str,
) -> None:
    assert scan.judge(asked, no_advisories=reason) == code
    assert said in capsys.readouterr().out


def test_an_excused_advisory_passes_by_any_of_its_names(scan: ModuleType) -> None:
    asked = [{"name": "a", "version": "1", "vulns": [_ADVISORY]}]
    scan.EXCUSED["CVE-2013-7459"] = "not called"
    assert scan.judge(asked, no_advisories="") == 0


def test_an_index_that_does_not_answer_is_asked_again_and_is_a_failure_then(
    scan: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "pip-audit"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Could not connect' >&2\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "build").mkdir()
    monkeypatch.setattr(scan, "VENV", tmp_path)
    monkeypatch.setattr(scan, "ROOT", tmp_path)
    rests: list[float] = []
    monkeypatch.setattr(scan.time, "sleep", rests.append)
    assert scan._advisories({"a": "1"}, strict=False) == 1
    assert capsys.readouterr().out.count("the index did not answer (Could not connect)") == 3
    assert rests == [10, 20, 0]
