"""What the network may speak of, by the header alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from app.dicom.gate import AGE_UNKNOWN, BODY_PART_UNSTATED, VIEW_UNSTATED, GateVerdict, header_gate
from app.dicom.header import ImageHeader
from app.domain.intended_use import IntendedUse

CHILDREN = IntendedUse(
    min_age_years=1, max_age_years=6, modalities=("CR", "DX"), body_parts=("CHEST",), views=("AP", "PA")
)
CHILD = ImageHeader(
    media_type="application/dicom",
    pixel_sha256="0" * 64,
    modality="DX",
    body_part_examined="CHEST",
    view_position="AP",
    age_years=3.0,
    photometric_interpretation="MONOCHROME2",
    samples_per_pixel=1,
    number_of_frames=1,
    rows=2000,
    columns=1800,
)


def judge(
    *, door: Literal["dicom", "file"] = "dicom", paediatric_source: bool = False, **changes: Any
) -> GateVerdict:
    return header_gate(replace(CHILD, **changes), CHILDREN, paediatric_source=paediatric_source, door=door)


def test_a_childs_frontal_chest_radiograph_passes_without_a_word() -> None:
    assert judge() == GateVerdict(None, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modality": "CT"}, "modality is CT"),
        ({"modality": None}, "names no modality"),
        ({"body_part_examined": "HIP"}, "body part is HIP"),
        ({"body_part_examined": "ABDOMEN"}, "body part is ABDOMEN"),
        ({"body_part_examined": "CHESTABDOMEN"}, "body part is CHESTABDOMEN"),
        ({"body_part_examined": "XYZ"}, "body part is XYZ"),
        ({"body_part_examined": None, "study_description": "HIP JOINT left"}, "another part of the body"),
        ({"view_position": "LL"}, "lateral view"),
        ({"view_position": "RL"}, "lateral view"),
        ({"view_position": "Lat."}, "lateral view"),
        ({"view_position": "LLD"}, "decubitus view"),
        ({"view_position": "RAO"}, "oblique view"),
        ({"view_position": None, "patient_orientation": "A\\F"}, "lateral view"),
        ({"view_position": None, "series_description": "view: LATERAL"}, "lateral view"),
        ({"view_position": None, "series_description": "Thorax seitl."}, "lateral view"),
        ({"view_position": None, "protocol_name": "CHEST LAT"}, "lateral view"),
        ({"body_part_examined": "THORACOLUMBAR"}, "body part is THORACOLUMBAR"),
        ({"body_part_examined": "CHEST ABD"}, "body part is CHEST ABD"),
        ({"body_part_examined": "THORACIQUE RACHIS"}, "body part is THORACIQUE RACHIS"),
        ({"body_part_examined": None, "series_description": "BWS"}, "another part of the body"),
        ({"body_part_examined": None, "series_description": "Thorakale Wirbels\u00e4ule"}, "another part"),
        ({"body_part_examined": None, "series_description": "Genou gauche"}, "another part of the body"),
        ({"body_part_examined": None, "series_description": "Rodilla AP"}, "another part of the body"),
        ({"presentation_intent": "FOR PROCESSING"}, "raw data for processing"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "raw data for processing"),
        ({"number_of_frames": 12}, "12 frames"),
        ({"samples_per_pixel": 3, "photometric_interpretation": "RGB"}, "in colour"),
        ({"photometric_interpretation": "PALETTE COLOR"}, "in colour"),
        ({"age_years": 62.0}, "The patient is 62 years old"),
        ({"age_years": 0.5}, "The patient is 6 months old"),
        ({"age_years": 6.0}, "The patient is 6 years old"),
        ({"age_years": None}, "age is unknown"),
        ({"age_years": 3.0, "age_from_dates_years": 64.0}, "contradicts itself"),
        ({"rows": 64, "columns": 64}, "only 64 x 64"),
        ({"rows": 4000, "columns": 500}, "not that narrow"),
    ],
)
def test_what_the_network_does_not_know_is_withheld_with_a_sentence(
    changes: dict[str, Any], words: str
) -> None:
    verdict = judge(**changes)
    assert verdict.withheld is not None
    assert words in verdict.withheld
    assert verdict.withheld.endswith(".")


@pytest.mark.parametrize(
    "body_part",
    [
        "CHEST",
        "Chest PA",
        "THORAX",
        "Tórax",
        "THX",
        "CHEST_PORT",
        "CHEST 1 VIEW",
        "Lung",
        "W033 THORAX AP",
        "PORTCHEST",
    ],
)
def test_sloppy_names_of_the_chest_pass(body_part: str) -> None:
    assert judge(body_part_examined=body_part) == GateVerdict(None, ())


@pytest.mark.parametrize(
    "view",
    ["AP", "PA", "A.P.", "ap erect", "AP_SUPINE", "postero-anterior", "antero-posterior", "FRONTAL", "P/A"],
)
def test_sloppy_names_of_frontal_views_pass(view: str) -> None:
    assert judge(view_position=view) == GateVerdict(None, ())


def test_a_view_outside_the_bundles_views_is_withheld() -> None:
    only_pa = replace(CHILDREN, views=("PA",))
    verdict = header_gate(CHILD, only_pa, paediatric_source=False, door="dicom")
    assert verdict.withheld == "The view is AP; this network knows PA views."


def test_silence_on_body_part_and_view_is_noted_and_passes() -> None:
    verdict = judge(body_part_examined=None, view_position="", study_description="Kontrolle")
    assert verdict == GateVerdict(None, (BODY_PART_UNSTATED, VIEW_UNSTATED))


def test_a_description_of_the_chest_stands_in_for_the_body_part() -> None:
    assert judge(body_part_examined=None, study_description="Thorax p.a.") == GateVerdict(None, ())


def test_a_series_of_both_views_says_nothing_of_one_image() -> None:
    assert judge(view_position=None, series_description="CHEST PA/LAT") == GateVerdict(None, (VIEW_UNSTATED,))


def test_an_unknown_age_is_screened_from_a_paediatric_source_with_a_notice() -> None:
    assert judge(age_years=None, paediatric_source=True) == GateVerdict(None, (AGE_UNKNOWN,))


def test_an_unknown_age_is_screened_at_the_file_door_with_a_notice() -> None:
    assert judge(age_years=None, door="file") == GateVerdict(None, (AGE_UNKNOWN,))


def test_a_known_age_outside_is_withheld_at_every_door() -> None:
    assert judge(age_years=40.0, door="file", paediatric_source=True).withheld is not None


def test_dates_that_differ_by_rounding_are_no_contradiction() -> None:
    assert judge(age_years=5.0, age_from_dates_years=6.2) == GateVerdict(None, ())


def test_a_png_has_no_modality_to_hold_against_it() -> None:
    png = ImageHeader(
        media_type="image/png", pixel_sha256="0" * 64, rows=500, columns=500, samples_per_pixel=3
    )
    assert header_gate(png, CHILDREN, paediatric_source=False, door="file") == GateVerdict(
        None, (AGE_UNKNOWN,)
    )


def test_a_png_said_to_be_lateral_is_withheld() -> None:
    png = ImageHeader(
        media_type="image/png", pixel_sha256="0" * 64, rows=500, columns=500, view_position="LL"
    )
    assert "lateral" in (header_gate(png, CHILDREN, paediatric_source=False, door="file").withheld or "")
