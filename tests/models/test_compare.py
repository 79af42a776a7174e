"""A candidate against the active bundle: the tests are their authors', and a worse one does not pass."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from app.cli import cli
from app.dicom.stated_facts import parsed_facts
from app.errors import Unprocessable
from models.bundle import Bundle
from models.compare import compare
from models.dataset import Labelled, load
from models.detail import LEAST_PATIENTS, detail, facts_of, stated_of
from models.examples import DatasetRefused, list_examples
from models.figures import Array
from models.pair import LANES, Pair
from models.paired_tests import delong, mcnemar
from models.promotion_gate import may_be_promoted, promotion_gate
from models.promotion_limits import FLOORS, MARGINS
from models.promotion_table import table
from tests.builders import a_dicom
from tests.models.conftest import Trained, draw_set, resealed, write_manifest


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn chests of patients from whom no bundle has learnt."""
    folder = draw_set(tmp_path_factory.mktemp("unseen"), patients=12)
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",p0", ",q0"))
    return folder


@pytest.fixture(scope="module")
def labelled(unseen: Path) -> Labelled:
    return load(list_examples(unseen)[0], side=96)


@pytest.fixture(scope="module")
def worse(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that calls nothing present any more."""
    cuts = {
        name: vars(cut) | {"operating_point": 0.999999, "rule_in": None}
        for name, cut in trained.manifest.thresholds.items()
    }
    return resealed(
        trained.path, tmp_path_factory.mktemp("worse") / "worse.bundle", thresholds=cuts, version="2"
    )


def _pair(truth: list[int], first: list[float], second: list[float]) -> Pair:
    scores = (np.array(first), np.array(second))
    called = (scores[0] >= 0.5, scores[1] >= 0.5)
    lanes = np.array(["abstain"] * len(truth))
    patients = np.array([str(at) for at in range(len(truth))])
    return Pair(np.array(truth) > 0, patients, scores, called, (lanes, lanes), (0, 0))


def _delong_by_definition(truth: np.ndarray[Any, Any], scores: tuple[Array, Array]) -> tuple[float, float]:
    """Every pair looked at one by one, as in section 3 of DeLong, DeLong and Clarke-Pearson (1988)."""
    rows = [
        [[float(x > y) + 0.5 * float(x == y) for y in score[~truth]] for x in score[truth]]
        for score in scores
    ]
    psi = np.array(rows[1]) - np.array(rows[0])
    by_ill, by_well = psi.mean(axis=1), psi.mean(axis=0)
    variance = by_ill.var(ddof=1) / len(by_ill) + by_well.var(ddof=1) / len(by_well)
    return float(psi.mean()), math.sqrt(variance)


def test_delong_is_what_looking_at_every_pair_gives() -> None:
    draw = np.random.default_rng(3)
    truth = (draw.random(80) < 0.4).astype(int)
    first = np.round(draw.normal(truth, 1), 1)  # rounding makes ties
    second = np.round(draw.normal(1.5 * truth, 1), 1)
    difference, error, p = delong(_pair(truth.tolist(), first.tolist(), second.tolist()))
    expected, by_definition = _delong_by_definition(truth > 0, (first, second))
    assert difference == pytest.approx(expected, abs=1e-6)
    assert error == pytest.approx(by_definition, abs=1e-6)
    assert 0 < p < 1
    assert delong(_pair([0, 0, 1, 1], [0, 1, 2, 3], [0, 1, 2, 3])) == (0, 0, 1)


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(0, 0, 1.0), (0, 5, 0.0625), (5, 0, 0.0625), (1, 9, 0.0215), (4, 4, 1.0), (900, 900, 1.0)],
)
def test_mcnemar_is_the_exact_binomial(lost: int, won: int, p: float) -> None:
    assert mcnemar(lost, won) == pytest.approx(p, abs=5e-5)


def test_a_bundle_against_itself_neither_gains_nor_loses(trained: Trained, labelled: Labelled) -> None:
    bundle = Bundle.load(trained.path, device="cpu")
    outcome = compare(bundle, bundle, labelled, rounds=50)
    assert all(set(line.values()) == {0.0} for line in outcome["difference"].values())
    assert outcome["intended_use"]["candidate"] == bundle.manifest.intended_use
    assert outcome["mcnemar"] == {"lost": 0, "won": 0, "p": 1.0}
    assert sum(outcome["lanes"][lane][lane] for lane in LANES) == outcome["images"] == outcome["asked"]
    lines = {line.name: line.passes for line in promotion_gate(outcome)}
    assert lines["patients"] is None
    assert not may_be_promoted(promotion_gate(outcome)), "twelve patients show nothing"


def test_what_one_bundle_withholds_is_counted_and_not_compared(
    trained: Trained, labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, candidate = (Bundle.load(trained.path, device="cpu") for _ in range(2))
    whole = candidate.screen
    monkeypatch.setattr(
        candidate,
        "screen",
        lambda images: (
            [replace(one, outcome="withheld", findings={}) for one in whole(images)[:1]] + whole(images)[1:]
        ),
    )
    station = np.where(np.arange(len(labelled)) < 3, "NEW", "OLD")
    outcome = compare(active, candidate, labelled, facts={"station": station}, rounds=20)
    assert outcome["withheld"] == {"active": 0, "candidate": 1}
    assert outcome["images"] == outcome["asked"] - 1
    groups = {group["value"]: group for group in outcome["detail"]["subgroups"]}
    assert (groups["NEW"]["asked"], groups["NEW"]["images"]) == (3, 2)
    assert groups["NEW"]["withheld"] == {"active": 0, "candidate": 1}
    assert groups["OLD"]["withheld"] == {"active": 0, "candidate": 0}
    assert {line.name: line.passes for line in promotion_gate(outcome)}["withheld"] is False


def test_other_findings_cannot_be_compared(trained: Trained, labelled: Labelled) -> None:
    bundle = Bundle.load(trained.path, device="cpu")
    with pytest.raises(DatasetRefused, match="all three know it"):
        compare(bundle, bundle, replace(labelled, findings=("effusion",)))
    healthy = labelled.take(labelled.labels[:, 0] < 0.5)
    with pytest.raises(DatasetRefused, match="with it and without it"):
        compare(bundle, bundle, healthy)


CHILDREN = {
    "min_age_years": 1.0,
    "max_age_years": 6,
    "modalities": ["DX"],
    "body_parts": ["CHEST"],
    "views": ["AP", "PA"],
}


def _meant_for(**changes: object) -> dict[str, Any]:
    return {"intended_use": {"active": CHILDREN, "candidate": CHILDREN | changes}}


def _comparison(**changes: Any) -> dict[str, Any]:
    same = {"value": 0.0, "low": -0.001, "high": 0.001}
    return {
        "finding": "pneumonia",
        "asked": 400,
        "images": 400,
        "patients_with": LEAST_PATIENTS,
        "patients_without": LEAST_PATIENTS,
        "withheld": {"active": 2, "candidate": 2},
        "difference": {"auc": same, "accuracy": same, "sensitivity": same, "specificity": same},
        "candidate": {"even_odds": {"slope": 1.1, "intercept": 0.1, "error": 0.01}},
        "lost_of_right": 0.01,
        "stress": [
            {
                "grade": 1.0,
                "active": 0.9,
                "candidate": 0.9,
                "difference": same,
                "asked": 300,
                "withheld": {"active": 3, "candidate": 3},
            }
        ],
        "explanations": {"active": False, "candidate": False},
        "cuts": {"active": ["rule-in"], "candidate": ["rule-in", "rule-out"]},
        "pixel_gate": {"active": True, "candidate": True},
        "findings": {"active": ["pneumonia"], "candidate": ["pneumonia"]},
        "intended_use": {"active": CHILDREN, "candidate": CHILDREN | {"views": ["PA", "AP"]}},
    } | changes


def _stressed(**changes: Any) -> dict[str, Any]:
    return dict(_comparison()["stress"][0]) | changes


def _group(**changes: Any) -> dict[str, Any]:
    """A comparison with one group of girls, large enough and as good, but for the changes."""
    same = {"value": 0.0, "low": -0.001, "high": 0.001}
    girls = {
        "of": "sex",
        "value": "F",
        "patients_with": LEAST_PATIENTS,
        "patients_without": LEAST_PATIENTS,
        "sufficient": True,
        "difference": {name: changes.get(name, same) for name in ("auc", "sensitivity", "specificity")},
        "candidate": {"auc": _at(FLOORS["auc"]), "sensitivity": _at(FLOORS["sensitivity"])}
        | changes.get("candidate", {}),
        "asked": 120,
        "asked_enough": True,
        "withheld": changes.get("withheld", {"active": 1, "candidate": 1}),
    }
    return {"detail": {"subgroups": [girls], "untold": []}}


def _at(low: float | None) -> dict[str, float | None]:
    return {"value": 0.9, "low": low, "high": 0.95}


def _low(least: float) -> dict[str, float]:
    return {"value": 0.0, "low": -least - 0.001, "high": 0.1}


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("labels", {"labels": {"may_judge": 119, "others": 1}}),
        ("locked test", {"locked_test": {"use": 11, "limit": 10}}),
        ("sex F auc", _group(auc=_low(MARGINS["subgroup auc"]))),
        ("sex F sensitivity", _group(sensitivity=_low(MARGINS["subgroup sensitivity"]))),
        ("sex F specificity", _group(specificity=_low(MARGINS["subgroup specificity"]))),
        ("sex F auc floor", _group(candidate={"auc": _at(FLOORS["auc"] - 0.001)})),
        ("sex F sensitivity floor", _group(candidate={"sensitivity": _at(FLOORS["sensitivity"] - 0.001)})),
        ("sex F auc floor", _group(candidate={"auc": _at(None)})),
        ("sex F withheld", _group(withheld={"active": 1, "candidate": 4})),
        ("sex F specificity", _group(specificity={"value": 0.0, "low": None, "high": None})),
        (
            "specificity",
            {"difference": _comparison()["difference"] | {"specificity": _low(MARGINS["specificity"])}},
        ),
        ("patients", {"patients_with": LEAST_PATIENTS - 1}),
        (
            "auc",
            {"difference": _comparison()["difference"] | {"auc": {"value": 0, "low": -0.006, "high": 0}}},
        ),
        (
            "sensitivity",
            {
                "difference": _comparison()["difference"]
                | {"sensitivity": {"value": 0, "low": -0.021, "high": 0}}
            },
        ),
        ("stress 1.0", {"stress": [_stressed(difference={"value": 0.1, "low": -0.02, "high": 0.3})]}),
        ("stress 1.0 withheld", {"stress": [_stressed(withheld={"active": 0, "candidate": 7})]}),
        ("findings", {"findings": {"active": ["pneumonia", "effusion"], "candidate": ["pneumonia"]}}),
        ("intended use", _meant_for(max_age_years=120.0)),
        ("intended use", _meant_for(min_age_years=2)),
        ("intended use", _meant_for(views=["AP"])),
        ("intended use", {"intended_use": {"active": CHILDREN, "candidate": {}}}),
        ("lanes", {"cuts": {"active": ["rule-in", "rule-out"], "candidate": ["rule-out"]}}),
        ("pixel gate", {"pixel_gate": {"active": True, "candidate": False}}),
        ("calibration", {"candidate": {"even_odds": {"slope": 0.4, "intercept": 0.0, "error": 0.06}}}),
        (
            "calibration",
            {"candidate": {"even_odds": {"slope": math.nan, "intercept": math.nan, "error": math.nan}}},
        ),
        ("retention", {"lost_of_right": MARGINS["retention"] + 0.001}),
        ("withheld", {"withheld": {"active": 2, "candidate": 7}}),
        ("explanations", {"explanations": {"active": True, "candidate": False}}),
    ],
)
def test_every_line_can_keep_a_candidate_out(line: str, changes: Mapping[str, Any]) -> None:
    assert may_be_promoted(promotion_gate(_comparison()))
    lines = promotion_gate(_comparison(**changes))
    assert not may_be_promoted(lines)
    found = {one.name: one for one in lines}[line]
    assert found.passes is not True
    assert found.blocks
    figureless = ("explanations", "intended use", "findings", "lanes", "pixel gate")
    assert found.passes is None or line in figureless or (found.short_by or 0) > 0


def test_a_group_that_both_misread_keeps_the_candidate_out_and_the_page_says_by_how_much() -> None:
    misread = _group(candidate={"sensitivity": {"value": 0.62, "low": 0.5, "high": 0.74}})
    lines = promotion_gate(_comparison(**misread))
    assert not may_be_promoted(lines)
    (line,) = [one for one in lines if one.passes is False]
    assert line.name == "sex F sensitivity floor"
    assert line.sentence.endswith("itself: 0.620 (0.500 to 0.740); the lower end must reach 0.80.")
    assert line.short_by == pytest.approx(0.3)


def test_a_candidate_meant_for_others_is_told_for_whom() -> None:
    lines = promotion_gate(_comparison(**_meant_for(min_age_years=0, max_age_years=120.0)))
    (line,) = [one for one in lines if one.passes is False]
    assert line.sentence.endswith("max_age_years 120.0 / 6, min_age_years 0 / 1.0.")


def test_a_group_at_its_floors_passes() -> None:
    assert may_be_promoted(promotion_gate(_comparison(**_group())))


def test_a_group_too_small_is_insufficient_and_named_and_keeps_nobody_out() -> None:
    small = _group()
    few = {"sufficient": False, "asked_enough": False, "patients_with": LEAST_PATIENTS - 1}
    small["detail"]["subgroups"][0] |= few
    small["detail"]["untold"] = ["station"]
    lines = promotion_gate(_comparison(**small))
    assert may_be_promoted(lines)
    assert [line.name for line in lines if line.passes is None] == ["sex F", "station"]
    assert all("Insufficient" in line.sentence for line in lines if line.passes is None)


def test_a_group_that_a_candidate_withheld_until_it_was_small_keeps_it_out() -> None:
    hidden = _group(withheld={"active": 1, "candidate": 30})
    hidden["detail"]["subgroups"][0] |= {"sufficient": False, "patients_with": LEAST_PATIENTS - 1}
    lines = {line.name: line for line in promotion_gate(_comparison(**hidden))}
    assert lines["sex F"].passes is None
    assert lines["sex F withheld"].passes is False
    assert not may_be_promoted(tuple(lines.values()))


def test_the_patients_of_a_group_are_counted_though_nobody_read_them() -> None:
    count = LEAST_PATIENTS
    truth = np.arange(2 * count) % 2 == 0
    patients = np.array([str(at) for at in range(2 * count)])
    read = np.array([0, 1])
    nobody = np.ones(2 * count, np.bool_)
    nobody[read] = False
    pair = replace(
        _pair([1, 0], [0.9, 0.1], [0.9, 0.1]),
        at=read, silent=(nobody, nobody), asked_truth=truth, asked_patients=patients,
    )  # fmt: skip
    facts = {"sex": np.array(["F"] * 2 * count)}
    [girls] = detail(pair, facts=facts, rounds=10, seed=1)["subgroups"]
    assert (girls["sufficient"], girls["asked_enough"], girls["asked"]) == (False, True, 2 * count)
    assert girls["withheld"] == {"active": 2 * count - 2, "candidate": 2 * count - 2}


def test_the_table_of_the_gate_in_the_documentation_is_the_one_in_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "promotion.md"
    assert table() in page.read_text(encoding="utf-8"), "put `models.promotion_table.table()` there"


def test_the_command_leaves_out_whom_a_bundle_knows_and_refuses_a_worse_candidate(
    trained: Trained, unseen: Path, worse: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    rows = (trained.data / "manifest.csv").read_text().splitlines()
    more = (unseen / "manifest.csv").read_text().splitlines()[1:]
    both.mkdir()
    listed = [rows[0]]
    listed += [f"{trained.data}/{row}" for row in rows[1:]] + [f"{unseen}/{row}" for row in more]
    (both / "manifest.csv").write_text("\n".join(listed) + "\n")
    out = tmp_path / "out"
    command = ["compare", str(worse), str(both), "--active", str(trained.path), "--out", str(out)]
    answer = CliRunner().invoke(cli, [*command, "--device", "cpu"])
    assert answer.exit_code == 1, answer.output
    told = json.loads((out / "comparison.json").read_text())
    assert told["learnt_from_left_out"] > 30
    assert told["candidate"]["sensitivity"] == 0
    assert told["difference"]["sensitivity"]["value"] < -0.5
    assert not told["may_be_promoted"]
    assert "may not be promoted" in answer.output
    assert (out / "comparison.png").stat().st_size > 10_000
    page = (out / "comparison.html").read_text()
    assert "It does not pass the gate." in page
    assert "<figcaption><strong>Missed</strong>" in page
    assert page.count("data:image/jpeg;base64,") == len(told["detail"]["mistakes"]) > 0
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import""", page), "nothing is fetched"


def test_the_facts_of_a_manifest_are_read_as_the_service_reads_them(tmp_path: Path) -> None:
    rows = [
        {"path": " one.png ", "label": "NORMAL", "age": "003Y", "patient_sex": "fem.", "view_position": "AP"},
        {"path": "two.png", "label": "NORMAL", "age": "000D", "patient_sex": "m", "view_position": " PA "},
        {"path": "three.png", "label": "NORMAL", "age": "?", "patient_sex": "", "view_position": ""},
    ]
    named = [row | {"station_name": "ROOM 1", "source": "import"} for row in rows]
    write_manifest(tmp_path / "manifest.csv", named)
    paths = [example.path.as_posix() for example in list_examples(tmp_path)[0]]
    facts = facts_of([parsed_facts(stated) for stated in stated_of(tmp_path, paths)])
    assert {name: values.tolist() for name, values in facts.items()} == {
        "age": ["1 to 4 years", "under 1 year", ""],
        "sex": ["F", "M", ""],
        "view": ["AP", "PA", ""],
        "station": ["ROOM 1"] * 3,
        "source": ["import"] * 3,
    }


@pytest.mark.parametrize("with_manifest", [False, True])
def test_the_command_takes_the_facts_of_dicom_headers_before_those_of_a_manifest(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_manifest: bool
) -> None:
    data = tmp_path / "data"
    rows = []
    for number, label in enumerate(("NORMAL", "PNEUMONIA")):
        path = data / label / f"{number}.dcm"
        path.parent.mkdir(parents=True)
        tags = {"PatientSex": "F", "StationName": f"ROOM {number}", "ViewPosition": "" if number else "AP"}
        path.write_bytes(a_dicom(patient_id=f"S{number}", patient_age="013Y", tags=tags))
        rows.append({"path": f"{label}/{number}.dcm", "label": label, "age": "3", "view": "PA"})
    if with_manifest:
        write_manifest(data / "manifest.csv", rows)
    asked: dict[str, list[str]] = {}

    def asking(*_: object, facts: Mapping[str, NDArray[np.str_]], **__: object) -> None:
        asked.update({name: values.tolist() for name, values in facts.items()})
        raise DatasetRefused("That is all that was to be seen.")

    monkeypatch.setattr("models.compare.compare", asking)
    command = ["compare", str(trained.path), str(data), "--active", str(trained.path)]
    answer = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert "all that was to be seen" in str(answer.exception)
    assert asked == {
        "age": ["12 to 17 years"] * 2,
        "sex": ["F"] * 2,
        "view": ["AP", "PA" if with_manifest else ""],
        "station": ["ROOM 0", "ROOM 1"],
        "source": [""] * 2,
    }


def test_a_file_that_is_no_bundle_is_one_sentence(trained: Trained, unseen: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "x.bundle"
    nonsense.write_bytes(b"no bundle")
    answer = CliRunner().invoke(
        cli, ["compare", str(nonsense), str(unseen), "--active", str(trained.path), "--out", str(tmp_path)]
    )
    assert isinstance(answer.exception, Unprocessable)
    assert "not a whole bundle" in str(answer.exception)
