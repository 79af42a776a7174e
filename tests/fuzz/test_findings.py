"""What the fuzzers take for a fault."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz import findings as counted
from tests.fuzz.findings import Findings


def test_a_case_that_only_waits_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "LONGEST_WAIT", 0.01)
    findings = Findings("waits", 1, tmp_path)
    with findings.case("locks", "case 0"):
        time.sleep(0.05)
    assert len(findings.faults) == 1
    assert "case 0: took 0.1 s by the clock, 0.0 s of the processor" in findings.faults[0]


def test_a_case_that_counts_is_a_fault_by_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "LONGEST_SECONDS", 0.01)
    findings = Findings("counts", 1, tmp_path)
    with findings.case("loops", "case 0"):
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    assert [fault.endswith("of the processor") for fault in findings.faults] == [True]
