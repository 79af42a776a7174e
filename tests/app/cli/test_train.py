"""`firstread train`: a folder in, a bundle and its figures out; budgets as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.cli.train import _minutes
from app.errors import Unprocessable
from tests.models.conftest import Trained, drawn, trained

__all__ = ["drawn", "trained"]


@pytest.mark.parametrize(
    ("said", "minutes"), [("30m", 30), ("1h30m", 90), ("90s", 1.5), ("45", 45), ("2h", 120), (None, None)]
)
def test_a_budget_is_read_as_people_write_it(said: str | None, minutes: float | None) -> None:
    assert _minutes(said) == minutes


@pytest.mark.parametrize("said", ["", "soon", "0m", "-3", "1d"])
def test_what_is_no_budget_is_refused(said: str) -> None:
    with pytest.raises(Unprocessable, match="write it as 30m"):
        _minutes(said)


def test_quick_training_from_a_bundle_prints_figures_and_whether_more_data_would_help(
    trained: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "next.bundle"
    command = ["train", str(trained.data), "--out", str(out), "--start", str(trained.path), "--threads", "1"]
    answer = CliRunner().invoke(cli, [*command, "--features", str(tmp_path / "features"), "--version", "2"])
    assert answer.exit_code == 0, answer.output
    assert "pneumonia, plain: auc" in answer.output
    assert "pneumonia, stressed: auc" in answer.output
    assert "would hardly gain from more data of this kind" in " ".join(answer.output.split())
    assert out.exists()
