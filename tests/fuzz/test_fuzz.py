"""2,000 files and 1,000 requests on every change in CI; `make fuzz` sends 20,000 of each, with any seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.web.main import create_app
from models.bundle import Bundle, default_bundle_path
from tests.fuzz.doors import fuzz_files
from tests.fuzz.findings import Findings
from tests.fuzz.interface import fuzz_interface
from tests.fuzz.oddities import fuzz_oddities
from tests.fuzz.world import World, a_world

_NIGHTLY, _CI, _ALWAYS = 20_000, 2000, 200
CASES = int(os.environ.get("FUZZ_CASES") or (_CI if os.environ.get("CI") else _ALWAYS))
"""Files; a quick look on a developer's machine, ten times as much in CI, a hundred times at night."""
_REQUESTS = CASES if CASES >= _NIGHTLY else CASES // 2
INTERFACE, ODDITIES = _REQUESTS * 7 // 10, _REQUESTS * 3 // 10
"""Requests, on top of the files."""
SEED = int(os.environ.get("FUZZ_SEED") or 20261122)
MOST_GROWTH = 1_000_000_000
"""Bytes by which the process that receives and screens may grow: the decoders have their own bound."""

pytestmark = [
    pytest.mark.timeout(max(900, CASES)),  # a case that never ends is told of with where it stands
    pytest.mark.filterwarnings("ignore"),  # pydicom tells of every oddity that was put in
]


@pytest.fixture
def world(database: str, broker: str) -> Iterator[World]:
    with TestClient(create_app(), base_url="http://firstread.test", raise_server_exceptions=True) as client:
        yield a_world(client)


@pytest.fixture
def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Findings]:
    def begin(name: str) -> Findings:
        (tmp_path / "found").mkdir()
        return Findings(name, SEED, tmp_path / "found")

    return begin


def told(findings: Findings, capsys: pytest.CaptureFixture[str], *, cases: int) -> None:
    """The table is shown where somebody waits for it; every case was there, and nothing must have been
    found.
    """
    with capsys.disabled():
        if os.environ.get("FUZZ_CASES"):
            print(f"\n{findings.table()}", *findings.faults, sep="\n", flush=True)  # noqa: T201
    assert sum(findings.cases.values()) == cases, findings.table()
    assert not findings.faults, "\n".join([findings.table(), *findings.faults[:20]])
    assert findings.grown_bytes < MOST_GROWTH, findings.table()


def test_damaged_files_are_refused_or_read_and_nothing_breaks(
    world: World, judged: Callable[[str], Findings], capsys: pytest.CaptureFixture[str]
) -> None:
    findings = judged("files")
    fuzz_files(world, Bundle.load(default_bundle_path(), device="cpu"), findings, cases=CASES)
    told(findings, capsys, cases=CASES)


def test_no_request_that_the_interface_describes_is_answered_with_a_5xx(
    world: World, judged: Callable[[str], Findings], capsys: pytest.CaptureFixture[str]
) -> None:
    findings = judged("interface")
    unasked = fuzz_interface(world, findings, cases=INTERFACE)
    assert any(outcome.startswith("2") for outcome in findings.outcomes), "nobody came in"
    told(findings, capsys, cases=INTERFACE)
    assert CASES < _NIGHTLY or not unasked, f"who asked nothing of what: {sorted(unasked)[:20]}"


def test_no_odd_request_page_or_zip_is_answered_with_a_5xx(
    world: World, judged: Callable[[str], Findings], capsys: pytest.CaptureFixture[str]
) -> None:
    findings = judged("oddities")
    fuzz_oddities(world, findings, cases=ODDITIES)
    assert any(outcome.startswith("2") for outcome in findings.outcomes), "nobody came in"
    told(findings, capsys, cases=ODDITIES)
