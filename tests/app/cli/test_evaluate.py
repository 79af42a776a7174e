"""`firstread evaluate`: figures as JSON, a picture, and one HTML file that fetches nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from models.evaluate import evaluate
from tests.app.web.pages.forms import words
from tests.models.conftest import Trained, drawn, trained

__all__ = ["drawn", "trained"]


def test_an_evaluation_is_also_one_html_file(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["evaluate", str(trained.data), "--bundle", str(trained.path), "--out", str(out)]
    answer = CliRunner().invoke(cli, [*command, "--device", "cpu"])
    assert answer.exit_code == 0, answer.output
    figures = json.loads((out / "evaluation.json").read_text())
    page = (out / "evaluation.html").read_text()
    called = f"{figures['plain']['sensitivity']['value'] * 100:.0f}"
    assert f"Of 100 radiographs with pneumonia it calls {called}." in page
    assert f"{figures['plain']['auc']['value']:.3f}" in page
    assert "data:image/png;base64," in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import""", page), "nothing is fetched"


def test_the_report_has_every_finding_and_names_those_of_which_nothing_can_be_told(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_several(*given: Any, **more: Any) -> dict[str, Any]:
        outcome = evaluate(*given, **more)
        assert (outcome["others"], outcome["untold"]) == ([], [])
        other = {part: outcome[part] for part in ("plain", "lanes", "even_odds", "stress")}
        other["plain"] = other["plain"] | {"auc": {"value": 0.123, "low": 0.111, "high": 0.135}}
        return outcome | {"others": [other | {"finding": "effusion"}], "untold": ["nodule"]}

    monkeypatch.setattr("models.evaluate.evaluate", of_several)
    some = tmp_path / "some"
    shutil.copytree(trained.data, some)
    rows = (some / "manifest.csv").read_text().splitlines()
    (some / "manifest.csv").write_text("\n".join(rows[:13]))
    command = ["evaluate", str(some), "--bundle", str(trained.path), "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(cli, [*command, "--stress", "--device", "cpu"])
    assert answer.exit_code == 0, answer.output
    said = answer.output.splitlines()
    assert "  auc                              0.123  (0.111 to 0.135)" in said[said.index("effusion") :]
    assert any(line.startswith("nodule: among the images that were read") for line in said)
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["others"][0]["plain"]["auc"]["value"] == 0.123
    page = words((tmp_path / "out" / "evaluation.html").read_text())
    assert "It ranks patients by several findings" in page
    assert "Nothing can be told of nodule: among the images" in page
    first, other = page.split("Pneumonia Of 100 radiographs")[1].split("Effusion Of 100 radiographs")
    assert "AUC 0.123 0.111–0.135" in other and "AUC 0.123" not in first
    for part in (first, other):
        assert "Under changes of how the picture was taken" in part
