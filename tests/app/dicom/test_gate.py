"""What the network may speak of, by the header alone."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from app.dicom.gate import (
    AGE_UNKNOWN,
    BODY_PART_UNSTATED,
    SECONDARY_CAPTURE,
    VIEW_UNSTATED,
    GateVerdict,
    header_gate,
)
from app.dicom.header import ImageHeader, read_header
from app.dicom.write import write_phantom
from tests.app.dicom.judged import CHILD, CHILDREN, judge

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


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
        ({"view_position": None, "series_description": "T\u00f3rax oblicua"}, "oblique view"),
        ({"view_position": None, "series_description": "Torace AP decubito laterale"}, "decubitus view"),
        (
            {"view_position": None, "series_description": "Thorax face d\u00e9cubitus lat\u00e9ral"},
            "decubitus",
        ),
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
        ({"view_position": "AXIAL"}, "The view is AXIAL"),
        ({"view_position": "CC"}, "The view is CC"),
        ({"view_position": "mlo"}, "The view is MLO"),
        ({"view_position": "SWIMMERS"}, "The view is SWIMMERS"),
        ({"view_position": "AP AXIAL"}, "The view is AP AXIAL"),
        ({"view_position": "cranio-caudal"}, "no frontal one"),
        ({"view_position": None, "series_description": "Patella skyline"}, "another part of the body"),
        ({"view_position": None, "series_description": "Thorax axial"}, "special view"),
        ({"series_description": "CHEST LATERAL"}, "names a lateral one"),
        ({"series_description": "Torace latero-laterale"}, "names a lateral one"),
        ({"view_position": "LATERAL DECUBITUS"}, "decubitus view"),
        ({"patient_species": "CANINE"}, "The patient is an animal (CANINE)"),
        ({"patient_species": "Felis catus"}, "an animal"),
        ({"quality_control_image": "YES"}, "quality control image"),
        ({"quality_control_image": "BOTH"}, "quality control image"),
        ({"series_description": "QC weekly"}, "test of the device"),
        ({"protocol_name": "Konstanzpr\u00fcfung"}, "test of the device"),
        ({"study_description": "Quality Control"}, "test of the device"),
        ({"series_description": "Phantom 20 cm PMMA"}, "names a phantom"),
        ({"series_description": "Fant\u00f4me"}, "names a phantom"),
        ({"sop_class_uid": SECONDARY, "conversion_type": "SD"}, "secondary capture (SD)"),
        ({"sop_class_uid": SECONDARY}, "does not say of what"),
        ({"sop_class_uid": f"{SECONDARY}.3", "conversion_type": "SYN"}, "secondary capture (SYN)"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.4"}, "none that a radiograph is kept in"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.2"}, "none that a radiograph is kept in"),
        ({"image_type": "DERIVED\\PRIMARY\\TOMO_2D"}, "made from others"),
        ({"image_type": "DERIVED\\SECONDARY\\SUBTRACTION"}, "made from others"),
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
        "PULM\u00c3O",
        "BRUST",
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
    png = ImageHeader(media_type="image/png", rows=500, columns=500, samples_per_pixel=3)
    assert header_gate(png, CHILDREN, paediatric_source=False, door="file") == GateVerdict(
        None, (AGE_UNKNOWN,)
    )


def test_a_png_said_to_be_lateral_is_withheld() -> None:
    png = ImageHeader(media_type="image/png", rows=500, columns=500, view_position="LL")
    assert "lateral" in (header_gate(png, CHILDREN, paediatric_source=False, door="file").withheld or "")


@pytest.mark.parametrize(
    "species", [None, "Homo sapiens", "HUMAN", "Human being", "Mensch", "UNKNOWN", "None", "N/A", "-"]
)
def test_humans_pass_and_whoever_is_not_said_to_be_an_animal(species: str | None) -> None:
    assert judge(patient_species=species) == GateVerdict(None, ())


@pytest.mark.parametrize("body_part", ["PEDIATRIC", "General", "ANY"])
def test_a_body_part_that_is_none_is_one_that_is_not_stated(body_part: str) -> None:
    assert judge(body_part_examined=body_part) == GateVerdict(None, (BODY_PART_UNSTATED,))


@pytest.mark.parametrize("marked", ["NO", "N", "0", "FALSE"])
def test_only_what_is_marked_for_quality_control_is(marked: str) -> None:
    assert judge(quality_control_image=marked) == GateVerdict(None, ())


@pytest.mark.parametrize("conversion", ["WSD", "DI", "DF", "wsd"])
def test_a_radiograph_kept_as_a_secondary_capture_is_read_and_says_so(conversion: str) -> None:
    verdict = judge(sop_class_uid=SECONDARY, conversion_type=conversion)
    assert verdict == GateVerdict(None, (SECONDARY_CAPTURE,))


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.392.200036.9125.1.1.2", None]
)
def test_the_classes_devices_keep_radiographs_in_pass(uid: str | None) -> None:
    changes = {
        "sop_class_uid": uid,
        "image_type": "DERIVED\\PRIMARY\\POST_PROCESSED",
        "quality_control_image": "NO",
    }
    assert judge(**changes) == GateVerdict(None, ())


def test_real_headers_of_chest_radiographs_pass_once_the_age_is_right(shared_data: Path) -> None:
    with (shared_data / "dicom/rsna_headers_sample.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 399
    for row in rows:
        verdict = judge(
            modality=row["Modality"],
            body_part_examined=row["BodyPartExamined"],
            view_position=row["ViewPosition"],
            patient_orientation=row["PatientOrientation"] or None,
            sop_class_uid=SECONDARY,
            conversion_type=row["ConversionType"],
        )
        assert verdict == GateVerdict(None, (SECONDARY_CAPTURE,)), row


def test_the_species_the_kind_of_image_and_its_conversion_are_read_from_the_file(tmp_path: Path) -> None:
    species = Dataset()
    species.CodeMeaning = "Canis lupus familiaris"
    path = tmp_path / "dog.dcm"
    tags = {
        "PatientSpeciesCodeSequence": [species],
        "QualityControlImage": "YES",
        "ConversionType": "WSD",
        "ImageType": ["DERIVED", "SECONDARY", "CAD"],
    }
    path.write_bytes(write_phantom(rows=256, columns=256, tags=tags))
    header = read_header(path)
    assert header.patient_species == "Canis lupus familiaris"
    assert (header.quality_control_image, header.conversion_type) == ("YES", "WSD")
    assert header.image_type == "DERIVED\\SECONDARY\\CAD"


def test_the_samples_of_a_new_site_are_screened(tmp_path: Path) -> None:
    path = tmp_path / "sample.dcm"
    path.write_bytes(write_phantom(rows=256, columns=256))
    verdict = header_gate(read_header(path), CHILDREN, paediatric_source=False, door="dicom")
    assert verdict.withheld is None
