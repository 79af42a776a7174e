"""Files and headers to results: the gate first, then the decoders, then one call of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from app.domain.states import Outcome
from models.bundle import Bundle, ImageScreening
from tests.builders import a_dicom, a_png
from tests.worker.conftest import a_broken_dicom, anyone_known
from worker.screen import MOST_PIXELS, Batch, ImageFile, NetworkBroke, batches


def a_file(folder: Path, data: bytes, *, door: Any = "dicom", paediatric_source: bool = False) -> ImageFile:
    path = folder / f"{len(list(folder.iterdir()))}.bin"
    path.write_bytes(data)
    return ImageFile(path=path, header=read_header(path), door=door, paediatric_source=paediatric_source)


def screen(files: Sequence[ImageFile], pool: DecoderPool, bundle: Any, *, preview_side: int = 0) -> list[Any]:
    batch = Batch(files, pool=pool, bundle=bundle, preview_side=preview_side)
    return batch.screen()


class BreaksOn:
    """The shipped bundle, except that it breaks on images of some widths, as a faulty runtime would."""

    def __init__(self, bundle: Bundle, *widths: int) -> None:
        self.manifest = bundle.manifest
        self.reading_side = bundle.reading_side
        self._bundle = bundle
        self._widths = widths

    def screen(self, images: Sequence[Any]) -> list[ImageScreening]:
        if any(image.shape[1] in self._widths for image in images):
            raise RuntimeError("out of device memory")
        return self._bundle.screen(images)


def test_results_come_in_the_order_of_the_files(tmp_path: Path, pool: DecoderPool, bundle: Bundle) -> None:
    files = [
        a_file(tmp_path, a_dicom()),
        a_file(tmp_path, a_dicom(patient_age="044Y")),
        a_file(tmp_path, a_broken_dicom()),
        a_file(tmp_path, a_dicom(style="opacity")),
    ]
    results = screen(files, pool, bundle)
    assert [result.outcome for result in results] == [
        Outcome.SCREENED,
        Outcome.WITHHELD,
        Outcome.FAILED,
        Outcome.SCREENED,
    ]
    assert results[0].urgency is not None
    assert results[0].findings.keys() == {"pneumonia"}
    assert results[1].reason.startswith("The patient is 44 years old")
    assert results[1].urgency is None
    assert "damaged" in results[2].reason
    assert not results[2].retry_helps


def test_the_age_is_only_unknown_where_the_door_or_the_source_allows_it(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    unknown = a_dicom(patient_age=None)
    files = [
        a_file(tmp_path, unknown),
        a_file(tmp_path, unknown, paediatric_source=True),
        a_file(tmp_path, unknown, door="file"),
        a_file(tmp_path, a_png(), door="file"),
    ]
    results = screen(files, pool, anyone_known(bundle))
    assert [result.outcome for result in results] == [Outcome.WITHHELD, *[Outcome.SCREENED] * 3]
    assert "age is unknown" in results[0].reason
    assert all("age unknown" in result.notices for result in results[1:])


def test_a_strange_picture_is_withheld_where_nothing_else_tells_whom_it_shows(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    files = [
        a_file(tmp_path, a_dicom(patient_age="003Y")),
        a_file(tmp_path, a_dicom(patient_age=None), door="file"),
    ]
    stated, unstated = screen(files, pool, bundle)
    assert stated.outcome is Outcome.SCREENED
    assert "unlike the training images" in stated.notices
    assert unstated.outcome is Outcome.WITHHELD
    assert "unlike the radiographs the network was trained on" in unstated.reason
    assert unstated.findings == {}
    assert "age unknown" in unstated.notices


def test_a_large_image_is_handed_over_small_and_read_alike(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    file = a_file(tmp_path, a_dicom(rows=1500, columns=1300))
    batch = Batch([file], pool=pool, bundle=bundle)
    assert batch.decodings[0] is not None
    handed_over = batch.decodings[0].result()
    assert (handed_over.rows, handed_over.columns) == (1500, 1300)
    assert bundle.reading_side <= min(handed_over.grey.shape) < 2 * bundle.reading_side
    whole = pool.presentation(file.path, file.header.media_type, preview_side=0).result().grey
    assert whole.shape == (1500, 1300)
    (answer,) = batch.screen()
    assert answer.findings == bundle.screen([whole])[0].findings


def test_a_withheld_image_is_decoded_where_previews_are_wanted(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    files = [a_file(tmp_path, a_dicom(patient_age="044Y"))]
    without = Batch(files, pool=pool, bundle=bundle)
    assert without.decodings == [None]
    batch = Batch(files, pool=pool, bundle=bundle, preview_side=64)
    assert batch.screen()[0].outcome is Outcome.WITHHELD
    assert batch.decodings[0] is not None
    assert batch.decodings[0].result().preview_jpeg.startswith(b"\xff\xd8")


def test_an_image_that_breaks_the_network_fails_alone(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    files = [a_file(tmp_path, a_dicom()), a_file(tmp_path, a_dicom(columns=300)), a_file(tmp_path, a_dicom())]
    results = screen(files, pool, BreaksOn(bundle, 300))
    assert [result.outcome for result in results] == [Outcome.SCREENED, Outcome.FAILED, Outcome.SCREENED]


def test_a_network_that_answers_nothing_is_broken_itself(
    tmp_path: Path, pool: DecoderPool, bundle: Bundle
) -> None:
    files = [a_file(tmp_path, a_dicom()), a_file(tmp_path, a_dicom(columns=300))]
    with pytest.raises(NetworkBroke, match="RuntimeError"):
        screen(files, pool, BreaksOn(bundle, 270, 300))


def test_a_batch_is_bounded_in_images_and_in_pixels() -> None:
    sizes = [10, 10, 10, MOST_PIXELS, 10, MOST_PIXELS * 2, 5]
    assert list(batches(sizes, pixels=int, most_images=2)) == [
        [10, 10],
        [10],
        [MOST_PIXELS],
        [10],
        [MOST_PIXELS * 2],
        [5],
    ]
