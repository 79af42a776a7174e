"""The pictures that `firstread export --compare-on` compares on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli.export import _grey
from app.errors import Unprocessable
from tests.builders import a_dicom


def test_pictures_of_every_depth_are_compared_and_what_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.linspace(1000, 5000, 64 * 64).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "deep.png"), ramp.astype(np.uint16))
    cv2.imwrite(str(tmp_path / "flat.png"), (ramp / 20).astype(np.uint8))
    (tmp_path / "modality.dcm").write_bytes(a_dicom())
    (tmp_path / "notes.txt").write_text("no picture")
    deep, flat, modality = _grey([tmp_path])
    assert {picture.dtype for picture in (deep, flat, modality)} == {np.dtype(np.uint8)}
    assert (deep.min(), deep.max(), flat.min(), flat.max()) == (0, 255, 50, 250)
    assert np.array_equal(deep, np.round((ramp.astype(np.uint16) - 1000.0) / 4000 * 255))
    assert f"{tmp_path / 'notes.txt'} is not compared" in capsys.readouterr().err
    with pytest.raises(Unprocessable, match="can be read"):
        _grey([tmp_path / "notes.txt"])
