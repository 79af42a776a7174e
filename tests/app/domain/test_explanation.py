"""A map is shown only where it was tested and passed."""

from __future__ import annotations

import pytest

from app.domain.explanation import (
    OCCLUSION_UNTESTED,
    UNTESTED,
    why_map_withheld,
    why_no_heat_map,
    why_occlusion_withheld,
    with_maps_allowed,
)

PASSED = {"passes": True, "failed": [], "finding": "pneumonia"}
FINDINGS = {
    "pneumonia": {"probability": 0.9, "logit": 2.0, "activation_map": [[1.0]]},
    "effusion": {"probability": 0.1, "logit": -2.0, "activation_map": [[2.0]]},
}


@pytest.mark.parametrize("said", [None, {}, "passes", {"figures": 3}])
def test_a_map_that_was_never_tested_is_withheld(said: object) -> None:
    assert why_map_withheld(said) == UNTESTED
    assert all("activation_map" not in finding for finding in with_maps_allowed(FINDINGS, said).values())


@pytest.mark.parametrize("passes", [False, None, 1, "yes"])
def test_anything_but_a_plain_yes_is_a_failure(passes: object) -> None:
    said = {"passes": passes, "failed": ["It points at the arm."], "finding": "pneumonia"}
    sentence = why_map_withheld(said)
    assert sentence is not None
    assert sentence.endswith("failed its test. It points at the arm.")
    assert all("activation_map" not in finding for finding in with_maps_allowed(FINDINGS, said).values())


def test_of_several_findings_only_the_one_that_was_tested_has_its_map() -> None:
    assert why_map_withheld(PASSED) is None
    shown = with_maps_allowed(FINDINGS, PASSED)
    assert shown["pneumonia"] == FINDINGS["pneumonia"]
    assert shown["effusion"] == {"probability": 0.1, "logit": -2.0}


@pytest.mark.parametrize(
    ("occlusion", "withheld"),
    [
        (None, OCCLUSION_UNTESTED),
        ({}, OCCLUSION_UNTESTED),
        ({"passes": False, "failed": ["It points at the arm."]}, "failed its test. It points at the arm."),
        ({"passes": 1}, "failed its test."),
        ({"passes": True}, None),
    ],
)
def test_the_occlusion_map_is_judged_for_itself(occlusion: object, withheld: str | None) -> None:
    said = {"passes": False, "failed": [], "finding": "pneumonia", "occlusion_map": occlusion}
    sentence = why_occlusion_withheld(said)
    shown = with_maps_allowed(FINDINGS, said, occlusion=[[3.0]])
    if withheld is None:
        assert sentence is None
        assert why_no_heat_map(said) is None
        assert shown["pneumonia"]["occlusion_map"] == [[3.0]]
        assert "occlusion_map" not in shown["effusion"], "only of the finding that was tested"
    else:
        assert str(sentence).endswith(withheld)
        assert str(why_no_heat_map(said)).startswith("The heat map is withheld:")
        assert "occlusion_map" not in shown["pneumonia"]
    assert "activation_map" not in shown["pneumonia"], "its own test failed"


def test_a_heat_map_is_shown_where_the_activation_map_passed_alone() -> None:
    assert why_no_heat_map(PASSED) is None
    assert why_occlusion_withheld(PASSED) == OCCLUSION_UNTESTED
    assert "occlusion_map" not in with_maps_allowed(FINDINGS, PASSED, occlusion=[[3.0]])["pneumonia"]
