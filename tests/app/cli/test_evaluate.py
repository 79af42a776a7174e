"""`firstread evaluate`: figures as JSON, a picture, and one HTML file that fetches nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from app.cli import cli
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
