"""A past reading is made again: to the bit where everything is as it was, and told where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.blobs import Blobs
from app.cli.replay import _run
from app.dicom.decoder_pool import DecoderPool
from app.errors import NotFound, Unprocessable
from app.queries.past_readings import PastReading, past_reading, reading_of, readings_since
from app.records.base import now
from app.records.engine import transaction
from models.bundle import default_bundle_path
from tests.builders import a_dicom, a_screened_study, admit, an_admitted_study
from worker.replay import TOLERANCE, Replayer
from worker.screener import Screener


@pytest.fixture
def replayer(blobs: Blobs, pool: DecoderPool) -> Iterator[Replayer]:
    yield Replayer(blobs=blobs, pool=pool, device="cpu", paediatric_sources=())


@pytest.fixture
def radiographs(shared_data: Path) -> list[bytes]:
    """Eleven real radiographs of children, as files."""
    found = sorted((shared_data / "kermany").rglob("*.jpeg"))[:11]
    return [path.read_bytes() for path in found]


def past_readings() -> list[PastReading]:
    with transaction() as session:
        ids = readings_since(session, since=now() - timedelta(hours=1))
        return [past_reading(session, reading_id=id_) for id_ in ids]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_readings_of_batches_of_any_size_are_reproduced_to_the_bit(
    batch_size: int,
    configure: Callable[..., None],
    make_screener: Callable[[], Screener],
    blobs: Blobs,
    radiographs: list[bytes],
    replayer: Replayer,
) -> None:
    configure(batch_size=batch_size)
    with transaction() as session:
        for data in radiographs:
            admit(session, blobs, data)
    assert make_screener().drain() == len(radiographs)
    past = past_readings()
    assert len(past) == len(radiographs)
    screened = [one for one in past if one.outcome == "screened"]
    assert len(screened) >= len(past) - 2
    widest = max(of for one in screened for _, of in one.made_with["places"].values())  # type: ignore[index]
    assert widest == min(batch_size, len(radiographs))
    for one in past:
        again = replayer.replay(one)
        assert again.differs == ()
        assert again.exact and again.reproduced, [finding for finding in again.findings if not finding.exact]


def test_a_reading_from_before_the_batch_was_kept_is_within_the_tolerance_and_says_so(
    screener: Screener, blobs: Blobs, radiographs: list[bytes], replayer: Replayer
) -> None:
    with transaction() as session:
        admit(session, blobs, radiographs[0])
    screener.drain()
    [past] = past_readings()
    again = replayer.replay(replace(past, made_with=None))
    assert again.reproduced
    assert again.differs[0].startswith("It was recorded before")
    assert all(finding.difference <= TOLERANCE for finding in again.findings)


def test_other_threads_are_told(
    screener: Screener, blobs: Blobs, radiographs: list[bytes], replayer: Replayer
) -> None:
    with transaction() as session:
        admit(session, blobs, radiographs[0])
    screener.drain()
    [past] = past_readings()
    assert past.made_with is not None
    other = replayer.replay(replace(past, made_with=past.made_with | {"device": "another processor"}))
    assert other.reproduced
    assert other.differs[0].startswith("The device was another processor and is ")


def test_a_reading_that_says_other_numbers_is_not_reproduced(
    screener: Screener, blobs: Blobs, radiographs: list[bytes], replayer: Replayer
) -> None:
    with transaction() as session:
        admit(session, blobs, radiographs[0])
    screener.drain()
    [past] = past_readings()
    [image] = past.images
    said = image.findings["pneumonia"]
    wrong = image.findings | {"pneumonia": said | {"probability": said["probability"] + 1e-9}}
    forged = replace(past, images=(replace(image, findings=wrong),))
    assert not replayer.replay(forged).reproduced
    withheld = replace(past, images=(replace(image, outcome="withheld", reason="Blank.", findings={}),))
    assert not replayer.replay(withheld).reproduced


def test_the_command_tells_by_its_exit_code(
    screener: Screener,
    blobs: Blobs,
    radiographs: list[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with transaction() as session:
        study = admit(session, blobs, radiographs[0]).study_id
    screener.drain()
    assert _run(reading=study, since=None, bundle=None) == 0
    assert "Reproduced to the bit." in capsys.readouterr().out
    assert _run(reading=study, since=None, bundle=default_bundle_path()) == 0
    assert _run(reading=None, since=now() - timedelta(hours=1), bundle=None) == 0
    assert "1 readings: 1 to the bit, 0 within 0.02, 0 not reproduced." in capsys.readouterr().out


def test_what_cannot_be_reproduced_says_why(
    database: str, blobs: Blobs, replayer: Replayer, tmp_path: Path
) -> None:
    with transaction() as session, pytest.raises(NotFound):
        reading_of(session, id_=uuid4())
    unread = an_admitted_study(blobs).study_id
    with transaction() as session, pytest.raises(Unprocessable, match="has not been read"):
        reading_of(session, id_=unread)
    study = a_screened_study(blobs).study_id
    with transaction() as session:
        past = past_reading(session, reading_id=reading_of(session, id_=study))
    with pytest.raises(NotFound):
        replayer.replay(past)
    with pytest.raises(Unprocessable, match="is another bundle"):
        replayer.replay(past, bundle=default_bundle_path())


def test_a_withheld_reading_is_reproduced_too(screener: Screener, blobs: Blobs, replayer: Replayer) -> None:
    with transaction() as session:
        admit(session, blobs, a_dicom(tags={"ViewPosition": "LL"}))
    screener.drain()
    [past] = past_readings()
    assert past.outcome == "withheld"
    assert replayer.replay(past).exact
