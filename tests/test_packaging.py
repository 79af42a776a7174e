"""What is installed, in the image and anywhere else, is everything the program needs."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "worker", "models", "migrations")
NOT_INSTALLED = ("app/web/viewer/",)
"""The viewer's sources: what they are built into lies in app/web/static/viewer."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    skip = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-index", "--no-build-isolation", "--wheel-dir", copy / "dist", copy],
        check=True,
        capture_output=True,
    )  # fmt: skip
    [built] = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_every_file_of_the_packages_is_installed(wheel: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)
    }
    wanted = {path for path in wanted if not path.startswith(NOT_INSTALLED)}
    assert wanted - wheel == set()
    assert "app/web/templates/base.html" in wheel
    assert any(name.startswith("models/bundles/") and name.endswith(".bundle") for name in wheel)


def test_nothing_else_is_installed(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert tops <= {*PACKAGES, "firstread-0.1.0.dist-info"}
    assert not any(name.startswith(NOT_INSTALLED) for name in wheel)


def test_every_requirement_has_one_exact_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    direct = {name_of(word) for words in (project["dependencies"], *extras) for word in words}
    pinned = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert all("==" in line for line in pinned)
    assert not any("://" in line or " @ " in line for line in pinned)
    assert direct <= {name_of(line) for line in pinned}


def name_of(requirement: str) -> str:
    """The package's name as the index spells it."""
    for mark in ";=[":
        requirement = requirement.split(mark, maxsplit=1)[0]
    return requirement.strip().lower().replace("_", "-")


def test_a_new_stage_of_the_setup_is_said_at_once_and_its_progress_every_twenty_seconds() -> None:
    stages = (
        "from install import Line; line = Line(); line.say('package 1'); line.say('package 2');"
        " line.say('compiling', at_once=True)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", stages], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = [words.partition(": ")[2] for words in answer.stdout.splitlines()]
    assert said == ["package 1", "compiling"]


def test_no_test_module_needs_a_browser_to_be_imported() -> None:
    extra = {"playwright", "axe_playwright_python"}  # `make test` sets up neither
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert extra.isdisjoint(name.partition(".")[0] for name in names), path
