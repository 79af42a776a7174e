"""Every finding by which a bundle ranks patients is judged, not the first alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle, FindingResult, ImageScreening
from models.compare import compare
from models.dataset import Labelled, load
from models.detail import LEAST_PATIENTS
from models.evaluate import evaluate
from models.examples import list_examples
from models.promotion_gate import may_be_promoted, promotion_gate
from models.promotion_limits import MARGINS, NEW_FLOORS
from models.promotion_line import Line
from models.stress import GRADES
from tests.app.commands.candidates import comparison
from tests.models.conftest import Trained

FEW = 5
Answer = Callable[[FindingResult], FindingResult]


@pytest.fixture(scope="module")
def labelled(trained: Trained) -> Labelled:
    """Whoever has the drawn opacity has an effusion too."""
    read = load(list_examples(trained.data)[0], side=96)
    return replace(read, findings=("effusion", "pneumonia"), labels=np.repeat(read.labels[:, :1], 2, axis=1))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few patients do in the gate: the drawn chests are of forty."""
    monkeypatch.setattr("models.promotion_finding.LEAST_PATIENTS", FEW)


def as_it_is(result: FindingResult) -> FindingResult:
    return result


def inverted(result: FindingResult) -> FindingResult:
    return replace(result, probability=1 - result.probability, present=not result.present)


def two(trained: Trained, **answers: Answer) -> Bundle:
    """A bundle that ranks by effusion too: what it says of each is made of what was learnt of pneumonia."""
    bundle = Bundle.load(trained.path, device="cpu")
    manifest, whole = bundle.manifest, bundle.screen
    [learnt] = [one for one in manifest.findings if not one.research]
    bundle.manifest = replace(
        manifest,
        findings=tuple(replace(learnt, name=name) for name in ("effusion", "pneumonia")),
        thresholds=dict.fromkeys(("effusion", "pneumonia"), manifest.thresholds[learnt.name]),
        calibration=dict.fromkeys(("effusion", "pneumonia"), manifest.calibration[learnt.name]),
    )

    def screen(images: Sequence[Any]) -> list[ImageScreening]:
        return [
            replace(
                one,
                findings={
                    name: answers.get(name, as_it_is)(one.findings[learnt.name])
                    for name in ("effusion", "pneumonia")
                },
            )
            if one.outcome == "screened"
            else one
            for one in whole(images)
        ]

    bundle.screen = screen  # type: ignore[method-assign]
    return bundle


def lines_of(active: Bundle, candidate: Bundle, data: Labelled) -> dict[str, Line]:
    facts = {"sex": np.array(["F"] * len(data))}
    return {
        line.name: line for line in promotion_gate(compare(active, candidate, data, facts=facts, rounds=20))
    }


@pytest.mark.parametrize(("spoiled", "kept"), [("effusion", "pneumonia"), ("pneumonia", "effusion")])
@pytest.mark.usefixtures("few")
def test_a_finding_that_gets_worse_keeps_the_candidate_out_whichever_it_is(
    trained: Trained, labelled: Labelled, spoiled: str, kept: str
) -> None:
    lines = lines_of(two(trained), two(trained, **{spoiled: inverted}), labelled)
    for figure in ("auc", "sensitivity", "specificity", "stress 1.0", "retention", "calibration"):
        assert lines[f"{spoiled}: {figure}"].passes is False, figure
        assert lines[f"{spoiled}: {figure}"].blocks
        if figure != "calibration":
            assert lines[f"{kept}: {figure}"].passes is True, figure
    assert lines[f"{spoiled}: auc"].sentence.startswith(f"Of the finding {spoiled}: AUC: -")
    assert not may_be_promoted(tuple(lines.values()))


@pytest.mark.parametrize("useless", [True, False])
@pytest.mark.usefixtures("few")
def test_a_finding_that_the_active_bundle_has_not_is_judged_by_itself(
    trained: Trained, labelled: Labelled, useless: bool
) -> None:
    active = Bundle.load(trained.path, device="cpu")
    candidate = two(trained, effusion=inverted if useless else as_it_is)
    lines = lines_of(active, candidate, labelled)
    new = {name: line for name, line in lines.items() if name.startswith("effusion: ")}
    asked = [*NEW_FLOORS, *(f"stress {grade}" for grade in GRADES)]
    floors = [f"effusion: {figure} floor" for figure in asked]
    assert [new[name].passes for name in floors] == [not useless] * 6
    assert new["effusion: patients"].passes is True
    assert not any("against the active bundle" in line.sentence for line in new.values())
    assert lines["pneumonia: auc"].passes is True


def test_a_finding_of_which_the_test_has_nobody_is_insufficient_and_keeps_the_candidate_out(
    trained: Trained, labelled: Labelled
) -> None:
    only = replace(labelled, findings=("pneumonia",), labels=labelled.labels[:, :1])
    for active in (Bundle.load(trained.path, device="cpu"), two(trained)):
        lines = lines_of(active, two(trained), only)
        for name in ("effusion: patients", "effusion: figures"):
            assert (lines[name].passes, lines[name].blocks) == (None, True)


def test_research_findings_are_neither_compared_nor_the_one_that_is_compared(
    trained: Trained, labelled: Labelled
) -> None:
    bundle = two(trained)
    effusion, pneumonia = bundle.manifest.findings
    bundle.manifest = replace(bundle.manifest, findings=(replace(effusion, research=True), pneumonia))
    outcome = compare(bundle, bundle, labelled, rounds=5)
    assert (outcome["finding"], outcome["others"]) == ("pneumonia", [])


def _new(**changes: Any) -> dict[str, Any]:
    """A comparison of bundles as good, and of a new finding that just does but for the changes."""
    figures = {name: {"value": 0.9, "low": floor, "high": 0.95} for name, floor in NEW_FLOORS.items()}
    girls = {
        "of": "sex",
        "value": "F",
        "patients_with": LEAST_PATIENTS,
        "patients_without": LEAST_PATIENTS,
        "sufficient": True,
        "candidate": figures | changes.pop("girls", {}),
        "asked": 120,
        "asked_enough": True,
        "withheld": {"active": 0, "candidate": 0},
    }
    other = {
        "finding": "effusion",
        "patients_with": LEAST_PATIENTS,
        "patients_without": LEAST_PATIENTS,
        "candidate": {"even_odds": {"slope": 1.0, "intercept": 0.0, "error": MARGINS["calibration error"]}},
        "own": figures | changes.pop("own", {}),
        "stress": [{"grade": 1.0, "own": figures | changes.pop("stress", {})}],
        "detail": {"subgroups": [girls], "untold": []},
    } | changes
    both = {"active": ["pneumonia"], "candidate": ["effusion", "pneumonia"]}
    return comparison(findings=both, others=[other])


def _below(figure: str) -> dict[str, Any]:
    return {figure: {"value": 0.9, "low": NEW_FLOORS[figure] - 0.001, "high": 0.95}}


@pytest.mark.parametrize(
    ("line", "changes", "passes"),
    [
        ("auc floor", {"own": _below("auc")}, False),
        ("sensitivity floor", {"own": _below("sensitivity")}, False),
        ("specificity floor", {"own": _below("specificity")}, False),
        ("stress 1.0 floor", {"stress": _below("auc")}, False),
        ("sex F auc floor", {"girls": _below("auc")}, False),
        ("sex F specificity floor", {"girls": _below("specificity")}, False),
        ("calibration", {"candidate": {"even_odds": {"slope": 1.0, "intercept": 0.0, "error": 0.06}}}, False),
        ("patients", {"patients_with": LEAST_PATIENTS - 1}, None),
        ("auc floor", {"patients_without": LEAST_PATIENTS - 1}, None),
    ],
)
def test_every_line_of_a_new_finding_can_keep_a_candidate_out(
    line: str, changes: dict[str, Any], passes: bool | None
) -> None:
    assert may_be_promoted(promotion_gate(_new()))
    lines = promotion_gate(_new(**dict(changes)))
    assert not may_be_promoted(lines)
    found = {one.name: one for one in lines}[f"effusion: {line}"]
    assert (found.passes, found.blocks) == (passes, True)


def test_a_finding_of_which_the_comparison_says_nothing_keeps_the_candidate_out() -> None:
    both = {"active": ["pneumonia"], "candidate": ["effusion", "pneumonia"]}
    lines = promotion_gate(comparison(findings=both))
    assert not may_be_promoted(lines)
    assert {line.name for line in lines if line.blocks and line.passes is not True} == {
        "effusion: patients",
        "effusion: figures",
    }


def test_an_evaluation_has_the_figures_of_every_finding(trained: Trained, labelled: Labelled) -> None:
    bundle, some = two(trained, pneumonia=inverted), labelled.take(np.arange(12))
    outcome = evaluate(bundle, some, stress=True, rounds=10)
    [other] = outcome["others"]
    assert (outcome["finding"], other["finding"], outcome["untold"]) == ("effusion", "pneumonia", [])
    assert other["plain"]["auc"]["value"] == pytest.approx(1 - outcome["plain"]["auc"]["value"], abs=1e-3)
    assert other["stress"]["mean_auc"] == pytest.approx(1 - outcome["stress"]["mean_auc"], abs=1e-3)
    assert other["stress"]["worst"]["auc"] == min(row["auc"] for row in other["stress"]["conditions"])


def test_an_evaluation_names_the_findings_of_which_it_can_tell_nothing(
    trained: Trained, labelled: Labelled
) -> None:
    some = labelled.take(np.arange(12))
    everybody = np.stack([some.labels[:, 0], np.ones(len(some), np.float32)], axis=1)
    unasked = replace(some, findings=("effusion",), labels=some.labels[:, :1])
    for data in (replace(some, labels=everybody), unasked):
        outcome = evaluate(two(trained), data, rounds=10)
        assert outcome["finding"] == "effusion"
        assert (outcome["others"], outcome["untold"]) == ([], ["pneumonia"])
