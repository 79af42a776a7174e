"""The real files of the shared folder: every one ends in pixels or in a sentence, and the gate lets none
through.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.dicom.decoder_pool import DecoderPool
from app.dicom.gate import header_gate
from app.dicom.header import DICOM, read_header
from app.dicom.pixels import present
from app.domain.intended_use import IntendedUse
from app.errors import DecodeFailed, NotAnImage

CHILDREN = IntendedUse(
    min_age_years=1, max_age_years=18, modalities=("CR", "DX"), body_parts=("CHEST",), views=("AP", "PA")
)


def test_every_adult_is_withheld_for_age(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom/chest").glob("*.dcm"))
    assert len(files) == 4
    for path in files:
        verdict = header_gate(read_header(path), CHILDREN, paediatric_source=True, door="file")
        assert verdict.withheld is not None
        assert "years old" in verdict.withheld


def test_nothing_that_is_no_chest_passes_even_from_a_paediatric_source(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom/not_chest").glob("*.dcm"))
    assert len(files) == 8
    for path in files:
        verdict = header_gate(read_header(path), CHILDREN, paediatric_source=True, door="file")
        assert verdict.withheld is not None, path.name


def test_no_real_or_broken_file_brings_down_a_child(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom").glob("*/*.dcm"))
    sentences = {}
    with DecoderPool(processes=2, seconds=60, memory_bytes=2**30) as pool:
        made = {path.name: pool.presentation(path, DICOM) for path in files}
        for name, future in made.items():
            try:
                assert future.result().grey.std() > 5, name
            except DecodeFailed as failure:
                sentences[name] = failure.detail
    assert set(sentences) == {"20-wrong-transfer-syntax.dcm", "html_page_named_test1.dcm"}
    assert "relabelled" in sentences["20-wrong-transfer-syntax.dcm"]


def test_a_web_page_named_dcm_is_refused_at_the_door(shared_data: Path) -> None:
    with pytest.raises(NotAnImage, match="web page"):
        read_header(shared_data / "dicom/broken/html_page_named_test1.dcm")


@pytest.mark.parametrize("name", ["RG1_J2KI", "RG1_JLSN", "siim_rsna_no_pneumothorax"])
def test_bone_is_bright_and_air_is_dark_in_a_real_chest(name: str, shared_data: Path) -> None:
    grey = present(shared_data / f"dicom/chest/{name}.dcm", DICOM, preview_side=64).grey
    rows, columns = grey.shape
    spine = grey[rows // 2 : rows * 2 // 3, columns * 48 // 100 : columns * 52 // 100].mean()
    right_lung = grey[rows // 4 : rows // 2, columns * 22 // 100 : columns * 36 // 100].mean()
    assert spine > right_lung + 20


def test_the_tag_alone_decides_the_polarity(shared_data: Path) -> None:
    chest = shared_data / "dicom/chest"
    as_tagged = present(chest / "siim_rsna_retagged_MONOCHROME1.dcm", DICOM, preview_side=64).grey
    original = present(chest / "siim_rsna_no_pneumothorax.dcm", DICOM, preview_side=64).grey
    np.testing.assert_array_equal(as_tagged, 255 - original)


def test_one_radiograph_looks_the_same_in_lossy_and_lossless_coding(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    for one, other in (
        ("chest/RG1_J2KI", "chest/RG1_JLSN"),
        ("not_chest/CR_RG2_J2KI", "not_chest/CR_RG2_RLE"),
        ("not_chest/CR_RG2_JPLL", "not_chest/CR_RG2_RLE"),
        ("not_chest/CR_RG3_JPLY", "not_chest/CR_RG3_JLSL"),
        ("not_chest/CR_RG3_J2KR", "not_chest/CR_RG3_JLSL"),
    ):
        first, second = (
            present(folder / f"{name}.dcm", DICOM, preview_side=64).grey for name in (one, other)
        )
        assert np.abs(first.astype(int) - second).mean() < 2, one


def test_every_original_of_the_children_is_read(shared_data: Path) -> None:
    files = sorted((shared_data / "kermany_originals").rglob("*.jpeg"))[::12]
    assert files
    for path in files:
        header = read_header(path)
        assert (header.rows, header.columns) == present(path, "image/jpeg", preview_side=64).grey.shape
