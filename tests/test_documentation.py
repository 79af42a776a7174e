"""What the documentation names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
_TEST = re.compile(r"\b(tests/[\w/]+\.py)::(test_\w+)")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_and_page_that_is_named_is_there(page: Path) -> None:
    text = page.read_text()
    named = set(_TEST.findall(text))
    gone = {f"{file}::{test}" for file, test in named if test not in _tests_of(ROOT / file)}
    gone |= {link for link in _LINK.findall(text) if not (page.parent / link).exists()}
    assert not gone


def test_each_line_of_hazards_and_threats_names_a_test() -> None:
    for name in ("hazards", "threats"):
        lines = re.findall(r"^\| [HT]\d+ \|.*$", (ROOT / f"docs/{name}.md").read_text(), re.MULTILINE)
        assert len(lines) > 15
        assert [line[:6] for line in lines if not _TEST.search(line)] == []


def _tests_of(file: Path) -> set[str]:
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
