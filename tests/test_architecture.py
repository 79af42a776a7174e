"""The house: which way the arrows point, and one door per library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("app", "worker", "models", "migrations")
_LONGEST_FILE = 300


@dataclass(frozen=True)
class Import:
    """One import statement: the importing module and the imported name, both dotted."""

    importer: str
    imported: str
    line: int

    def comes_from(self, *places: str) -> bool:
        return any(self.importer == place or self.importer.startswith(place + ".") for place in places)

    def goes_to(self, *places: str) -> bool:
        return any(self.imported == place or self.imported.startswith(place + ".") for place in places)

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def _files() -> Iterator[Path]:
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path


def _module(path: Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(_module(path), alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            for alias in node.names:
                yield Import(_module(path), f"{node.module}.{alias.name}", node.lineno)


IMPORTS = [imported for path in _files() for imported in _imports_of(path)]

# (what the rule says, who is bound by it, what they may not import)
_ARROWS = [
    ("app never imports the worker or the network, only the command line does", "app", ("worker", "models")),
    ("the network knows nothing of ours", "models", ("app", "worker", "migrations")),
    ("the worker never imports the web", "worker", ("app.web", "app.cli")),
    (
        "rules know no database and no library",
        "app.domain",
        ("app.records", "app.commands", "app.queries", "app.web"),
    ),
    (
        "records know only the rules",
        "app.records",
        ("app.commands", "app.queries", "app.web", "app.dicom", "app.blobs"),
    ),
    ("commands never ask the web", "app.commands", ("app.web", "app.queries", "app.cli")),
    ("queries never ask the web", "app.queries", ("app.web", "app.cli")),
    ("DICOM knows no database", "app.dicom", ("app.records", "app.commands", "app.queries", "app.web")),
    ("the web asks commands and queries", "app.web", ("app.cli", "app.embedded")),
    (
        "migrations know records and settings",
        "migrations",
        ("app.commands", "app.queries", "app.web", "worker", "models"),
    ),
]

_EXEMPT = {"app.cli"}  # the composition root

_DOORS = [
    (("fastapi", "starlette", "jinja2", "sse_starlette"), ("app.web",)),
    (("sqlalchemy",), ("app.records", "app.commands", "app.queries", "migrations")),
    (("alembic",), ("migrations",)),
    # SQLAlchemy's driver: LISTEN has no way through SQLAlchemy, and a key is asked for in one trip.
    (("psycopg",), ("app.records.engine", "app.queries.live", "app.commands.keys")),
    (("celery", "kombu", "redis"), ("app.queue", "worker")),
    (
        ("pydicom", "pynetdicom", "highdicom", "gdcm", "imagecodecs", "openjpeg", "rle", "jpeg_ls"),
        ("app.dicom",),
    ),
    (("torch", "torchvision", "openvino", "safetensors"), ("models",)),
    (("httpx",), ("worker", "app.cli", "app.oidc")),
    (("authlib", "joserfc"), ("app.oidc",)),
    (("cryptography",), ("app.commands.backup_seal",)),
    (("opentelemetry", "requests"), ("app.collector",)),
    (("typer", "rich"), ("app.cli",)),
]


@pytest.mark.parametrize(("rule", "bound", "forbidden"), _ARROWS, ids=[rule for rule, _, _ in _ARROWS])
def test_arrows_point_one_way(rule: str, bound: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.comes_from(bound) and not found.comes_from(*_EXEMPT) and found.goes_to(*forbidden)
    ]
    assert not wrong, rule + ":\n" + "\n".join(wrong)


@pytest.mark.parametrize(("libraries", "rooms"), _DOORS, ids=[libraries[0] for libraries, _ in _DOORS])
def test_each_library_has_one_door(libraries: tuple[str, ...], rooms: tuple[str, ...]) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.goes_to(*libraries) and not found.comes_from(*rooms) and not found.comes_from(*_EXEMPT)
    ]
    assert not wrong, f"only {rooms} may import {libraries}:\n" + "\n".join(wrong)


def test_only_settings_reads_the_environment() -> None:
    wrong = []
    for path in _files():
        if _module(path) == "app.settings":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                wrong.append(f"{_module(path)}:{node.lineno}")
    assert not wrong, "os.environ is read outside app.settings: " + ", ".join(wrong)


def test_every_module_says_what_it_is() -> None:
    silent = [
        _module(path)
        for path in _files()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"no docstring: {silent}"


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    # A migration is written once and never read as a whole.
    excepted = {"migrations.versions.v0001_spine", "migrations.versions.v0019_learning"}
    long = {
        _module(path): lines
        for path in _files()
        if (lines := len(path.read_text().splitlines())) > _LONGEST_FILE and _module(path) not in excepted
    }
    assert not long, f"more than {_LONGEST_FILE} lines: {long}"


@pytest.mark.parametrize(
    "path", [path for path in _files() if "transaction" in path.read_text()], ids=_module
)
def test_whoever_asks_the_database_logs_no_texts_of_exceptions(path: Path) -> None:
    """They quote the row that was refused, and so a patient; `app.errors.frames_of` says where it was."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    attributes = [call.func for call in calls if isinstance(call.func, ast.Attribute)]
    assert not [each.lineno for each in attributes if ast.unparse(each) == "_log.exception"]
