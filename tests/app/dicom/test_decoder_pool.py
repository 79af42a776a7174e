"""Real children that are really killed, stopped and starved: each costs one image, and the pool goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import DICOM
from app.dicom.pixels import present, read_values
from app.dicom.windowing import Window
from app.dicom.write import wrap, write_phantom
from app.errors import DecodeFailed

from .test_look_up_tables import lut

Ramp = NDArray[np.uint16]
MB = 2**20


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "phantom.dcm"
    path.write_bytes(write_phantom(rows=400, columns=340, transfer_syntax="1.2.840.10008.1.2.4.70"))
    return path


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest image that takes a good second to decode: JPEG 2000 of noise."""
    path = tmp_path_factory.mktemp("slow") / "slow.dcm"
    noise = np.random.default_rng(1).integers(0, 4096, (2800, 2400)).astype(np.uint16)
    path.write_bytes(wrap(noise, bits_stored=12, transfer_syntax="1.2.840.10008.1.2.4.90"))
    return path


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(processes=1, seconds=20, memory_bytes=256 * MB) as pool:
        yield pool


def only_child(pool: DecoderPool) -> int:
    (child,) = pool.child_ids()
    return child


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_working(child: int) -> None:
    """Wait until the child burns processor time, which an idle one does not."""
    clock = Path(f"/proc/{child}/stat")
    before = clock.read_text().rsplit(")", 1)[1].split()[11]
    deadline = time.monotonic() + 10
    while clock.read_text().rsplit(")", 1)[1].split()[11] == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_gives_what_decoding_here_would_give(pool: DecoderPool, phantom: Path) -> None:
    there, here = (
        pool.presentation(phantom, DICOM, preview_side=200).result(),
        present(phantom, DICOM, preview_side=200),
    )
    np.testing.assert_array_equal(there.grey, here.grey)
    assert (there.preview_jpeg, there.rows, there.columns, there.notices) == (here.preview_jpeg, 400, 340, ())
    assert max(cv2.imdecode(np.frombuffer(there.preview_jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).shape) == 200
    assert pool.values(phantom, DICOM).result() == read_values(phantom, DICOM)


def test_a_reader_gets_averages_of_whole_boxes(pool: DecoderPool, phantom: Path) -> None:
    whole = present(phantom, DICOM, preview_side=0).grey
    made = pool.presentation(phantom, DICOM, preview_side=200, reading_side=110).result()
    assert (made.rows, made.columns, made.grey.shape) == (400, 340, (134, 114))
    boxes = whole[:399, :339].reshape(133, 3, 113, 3).mean(axis=(1, 3))
    assert np.abs(made.grey[:133, :113] - boxes).max() < 0.6  # Pillow rounds in fixed point
    assert max(cv2.imdecode(np.frombuffer(made.preview_jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).shape) == 200
    unreduced = pool.presentation(phantom, DICOM, reading_side=171).result().grey
    np.testing.assert_array_equal(unreduced, whole)


def test_a_voi_lut_crosses_from_the_child_whole(pool: DecoderPool, tmp_path: Path, ramp: Ramp) -> None:
    path = tmp_path / "lut.dcm"
    path.write_bytes(wrap(ramp, bits_stored=12, tags={"VOILUTSequence": [lut(5, list(range(4096)), 12)]}))
    assert pool.values(path, DICOM).result() == read_values(path, DICOM)


def test_a_picture_is_rendered_by_the_window_and_the_viewport_asked_for(
    pool: DecoderPool, phantom: Path
) -> None:
    picture = pool.rendered(
        phantom, DICOM, window=Window(2000, 1000), viewport=(100, 100), picture_format="png"
    ).result()
    grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey.shape == (100, 85)
    plain = cv2.imdecode(
        np.frombuffer(pool.rendered(phantom, DICOM).result(), np.uint8), cv2.IMREAD_GRAYSCALE
    )
    assert plain.shape == (400, 340)


def test_a_frame_is_given_without_compression(pool: DecoderPool, tmp_path: Path, ramp: Ramp) -> None:
    path = tmp_path / "frame.dcm"
    path.write_bytes(wrap(ramp, bits_stored=12, transfer_syntax="1.2.840.10008.1.2.4.80"))
    assert pool.native_frame(path, 1).result() == ramp.astype("<u2").tobytes()


def test_a_refusal_keeps_its_sentence_and_its_child(pool: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "page.dcm"
    path.write_bytes(b"<html>" * 100)
    child = only_child(pool)
    with pytest.raises(DecodeFailed, match="web page"):
        pool.presentation(path, DICOM).result()
    assert only_child(pool) == child


def test_a_missing_file_fails_with_a_sentence(pool: DecoderPool, tmp_path: Path) -> None:
    with pytest.raises(DecodeFailed, match="cannot be decoded"):
        pool.presentation(tmp_path / "nothing.dcm", DICOM).result()


def test_a_child_killed_at_work_costs_that_image_alone(pool: DecoderPool, phantom: Path, slow: Path) -> None:
    pool.presentation(phantom, DICOM).result()
    child = only_child(pool)
    doomed, next_one = pool.presentation(slow, DICOM), pool.presentation(phantom, DICOM)
    wait_until_working(child)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(DecodeFailed, match="killed while it worked"):
        doomed.result()
    assert next_one.result().rows == 400
    assert only_child(pool) != child


def test_a_codec_that_crashes_is_named_with_its_signal(pool: DecoderPool, phantom: Path, slow: Path) -> None:
    pool.presentation(phantom, DICOM).result()
    child = only_child(pool)
    doomed = pool.presentation(slow, DICOM)
    wait_until_working(child)
    os.kill(child, signal.SIGSEGV)
    with pytest.raises(DecodeFailed, match="SIGSEGV"):
        doomed.result()
    assert pool.presentation(phantom, DICOM).result().rows == 400


def test_a_child_killed_while_idle_costs_nothing(pool: DecoderPool, phantom: Path) -> None:
    pool.presentation(phantom, DICOM).result()
    child = only_child(pool)
    os.kill(child, signal.SIGKILL)
    while alive(child):
        time.sleep(0.01)
    assert pool.presentation(phantom, DICOM).result().rows == 400


def test_a_child_that_hangs_is_ended_when_its_time_is_up(phantom: Path, slow: Path) -> None:
    with DecoderPool(processes=1, seconds=2, memory_bytes=256 * MB) as impatient:
        impatient.presentation(phantom, DICOM).result()
        child = only_child(impatient)
        doomed = impatient.presentation(slow, DICOM)
        wait_until_working(child)
        os.kill(child, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(DecodeFailed, match="longer than the 2 seconds allowed"):
            doomed.result()
        assert time.monotonic() - started < 4
        assert not alive(child)
        assert impatient.presentation(phantom, DICOM).result().rows == 400


def test_an_image_that_needs_more_memory_than_allowed_fails_and_the_next_is_decoded(
    phantom: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.dcm"
    large.write_bytes(
        wrap(np.zeros((8000, 8000), np.uint16), bits_stored=12, transfer_syntax="1.2.840.10008.1.2.5")
    )
    assert large.stat().st_size < 10 * MB
    with DecoderPool(processes=1, seconds=30, memory_bytes=96 * MB) as strict:
        with pytest.raises(DecodeFailed, match="memory"):
            strict.presentation(large, DICOM).result()
        assert strict.presentation(phantom, DICOM).result().rows == 400
    with DecoderPool(processes=1, seconds=30, memory_bytes=1024 * MB) as generous:
        assert generous.presentation(large, DICOM).result().rows == 8000


def test_many_threads_may_ask_at_once(phantom: Path) -> None:
    expected = present(phantom, DICOM, preview_side=64).grey
    wrong: list[int] = []

    def ask(pool: DecoderPool, number: int) -> None:
        for _ in range(5):
            if not np.array_equal(pool.presentation(phantom, DICOM, preview_side=64).result().grey, expected):
                wrong.append(number)

    with DecoderPool(processes=2, seconds=30, memory_bytes=256 * MB) as pool:
        threads = [threading.Thread(target=ask, args=(pool, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_closing_cancels_what_waits_ends_what_runs_and_leaves_no_child(phantom: Path, slow: Path) -> None:
    pool = DecoderPool(processes=1, seconds=30, memory_bytes=256 * MB)
    pool.presentation(phantom, DICOM).result()
    child = only_child(pool)
    running, waiting = pool.presentation(slow, DICOM), pool.presentation(phantom, DICOM)
    wait_until_working(child)
    pool.close()
    assert running.result().rows == 2800
    assert waiting.cancelled()
    assert not alive(child)
    assert pool.child_ids() == ()
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.presentation(phantom, DICOM)


def test_a_cancelled_image_is_not_decoded(pool: DecoderPool, phantom: Path, slow: Path) -> None:
    running, waiting = pool.presentation(slow, DICOM), pool.presentation(phantom, DICOM)
    assert waiting.cancel()
    assert running.result().rows == 2800
    assert pool.presentation(phantom, DICOM).result().rows == 400


def test_children_know_nothing_of_their_parents_environment(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = Path(f"/proc/{only_child(pool)}/environ").read_bytes()
    names = {entry.split(b"=")[0] for entry in variables.split(b"\0") if entry}
    assert names <= {b"PYTHONPATH", b"OPENBLAS_NUM_THREADS", b"OMP_NUM_THREADS", b"LC_CTYPE"}


def test_children_load_neither_torch_nor_the_database(pool: DecoderPool, phantom: Path) -> None:
    pool.presentation(phantom, DICOM).result()
    maps = Path(f"/proc/{only_child(pool)}/maps").read_text()
    assert "imagecodecs" in maps
    assert "torch" not in maps
    assert "psycopg" not in maps


def test_children_ignore_the_interrupt_that_ctrl_c_sends_to_all(pool: DecoderPool, phantom: Path) -> None:
    pool.presentation(phantom, DICOM).result()
    child = only_child(pool)
    os.kill(child, signal.SIGINT)
    assert pool.presentation(phantom, DICOM).result().rows == 400
    assert only_child(pool) == child


def test_children_die_with_a_parent_that_is_killed(phantom: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from app.dicom.decoder_pool import DecoderPool
        pool = DecoderPool(processes=2, seconds=20, memory_bytes=2**28)
        pool.presentation(Path({str(phantom)!r}), "application/dicom").result()
        while len(pool.child_ids()) < 2:
            time.sleep(0.01)
        print(*pool.child_ids(), flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(number) for number in parent.stdout.readline().split()]
    assert len(children) == 2
    assert all(alive(child) for child in children)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.stdout.close()
