"""A look from the question to the answer: a real child, the shipped bundle, real bytes."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from app import looks
from app.blobs import Blobs
from app.commands import explaining, registry, snapshots
from app.domain.roles import SYSTEM
from app.queue import COUNT_SNAPSHOT
from app.records import OcclusionMap
from app.records.engine import transaction
from app.settings import settings
from models.bundle import default_bundle_path
from tests.builders import a_dicom
from tests.explainable import a_read_image, stored_bundle
from tests.worker.conftest import StartWorker, a_broken_dicom, until
from worker.count_snapshot import SnapshotCounter
from worker.inside import Glass

ME = uuid4()


@pytest.fixture
def glass(database: str, broker: str, blobs: Blobs) -> Glass:
    """Who answers, with the shipped bundle promoted."""
    sha256 = blobs.put(default_bundle_path().read_bytes())
    with transaction() as session:
        tested = {"passes": True, "finding": "pneumonia"}
        manifest = {"name": "shipped", "version": "1", "explanations": tested}
        registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    return Glass(settings(), blobs=blobs)


def asked(blobs: Blobs, data: bytes) -> UUID:
    return looks.ask(by=ME, media_type="application/dicom", about="an image", sha256=blobs.put(data))


def test_a_stored_image_is_shown_as_every_layer_sees_it(glass: Glass, blobs: Blobs) -> None:
    look_id = asked(blobs, a_dicom())
    assert glass.drain(stop=threading.Event()) == 1
    look = looks.find(look_id, by=ME)
    assert look.answer is not None, look.reason
    assert [layer["depth"] for layer in look.answer["layers"]] == ["early", "middle", "late"]
    for layer in look.answer["layers"]:
        for one in layer["maps"]:
            png = np.frombuffer(base64.b64decode(one["png"]), np.uint8)
            assert cv2.imdecode(png, cv2.IMREAD_UNCHANGED).shape == (layer["rows"], layer["columns"])
    assert list(look.answer["contributions"]) == ["pneumonia"]


def test_a_lent_file_is_gone_once_it_was_looked_at(glass: Glass, blobs: Blobs) -> None:
    with blobs.stage(max_bytes=2**24) as staged:
        staged.write(a_dicom())
        name = blobs.lend(staged)
    held = blobs.lent(name)
    look_id = looks.ask(by=ME, media_type="application/dicom", about="a file", lent=name)
    glass.drain(stop=threading.Event())
    assert looks.find(look_id, by=ME).state == "done"
    assert not held.exists()


def test_what_cannot_be_shown_is_refused_with_a_sentence_and_the_next_is_answered(
    glass: Glass, blobs: Blobs
) -> None:
    broken = asked(blobs, a_broken_dicom())
    missing = looks.ask(by=ME, media_type="image/png", about="gone", sha256="f" * 64)
    good = asked(blobs, a_dicom())
    assert glass.drain(stop=threading.Event()) == 3
    for look_id in (broken, missing):
        look = looks.find(look_id, by=ME)
        assert look.state == "failed"
        assert look.reason is not None
        assert look.reason.endswith(".")
    assert looks.find(good, by=ME).state == "done"


def test_whatever_goes_wrong_whoever_asked_is_told_and_the_next_is_answered(
    database: str, broker: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = [looks.ask_for_counts(by=ME, datasets=[], reviews=reviews) for reviews in (True, False)]
    preview, failed = snapshots.preview, []

    def breaks_once(*of: Any, **wanted: Any) -> Any:
        if not failed:
            failed.append(True)
            raise MemoryError
        return preview(*of, **wanted)

    monkeypatch.setattr(snapshots, "preview", breaks_once)
    assert SnapshotCounter(blobs=blobs).drain(stop=threading.Event()) == 2
    first, second = (looks.find(one, by=ME, task=COUNT_SNAPSHOT) for one in counted)
    assert "MemoryError" in str(first.reason)
    assert second.answer is not None


def test_without_a_promoted_network_there_is_nothing_to_look_into(
    database: str, broker: str, blobs: Blobs
) -> None:
    look_id = asked(blobs, a_dicom())
    Glass(settings(), blobs=blobs).drain(stop=threading.Event())
    reason = looks.find(look_id, by=ME).reason
    assert reason is not None
    assert "No network has been promoted" in reason


def test_a_worker_that_must_end_ends_its_look(glass: Glass, blobs: Blobs) -> None:
    look_id = asked(blobs, a_dicom())
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    started = time.monotonic()
    glass.drain(stop=stop)
    assert time.monotonic() - started < 5
    look = looks.find(look_id, by=ME)
    assert look.state == "done" or "Ask again" in str(look.reason)


def test_an_occlusion_map_is_made_once_and_kept_with_the_reading(
    database: str, broker: str, blobs: Blobs
) -> None:
    bundle = stored_bundle(blobs)
    _, reading, image = a_read_image(blobs, bundle)
    for _ in range(2):  # two readers at once
        looks.ask_for_map(reading, bundle=bundle, sha256=image, media_type="application/dicom")
    assert Glass(settings(), blobs=blobs).drain(stop=threading.Event()) == 1
    look = looks.find_map(reading)
    assert look is not None
    assert look.state == "done", look.reason
    with transaction() as session:
        kept = session.scalars(select(OcclusionMap)).one()
        assert (kept.image_reading_id, kept.finding) == (reading, "pneumonia")
        assert [len(row) for row in kept.cells] == [5] * 5
        assert kept.runtime.startswith("openvino/CPU")
        first = kept.cells
    with transaction() as session:
        explaining.keep(
            session, image_reading_id=reading, finding="pneumonia", cells=[[9.0]], runtime="later"
        )
        assert session.scalars(select(OcclusionMap)).one().cells == first, "what was shown stays"


def test_a_bundle_that_cannot_make_a_map_says_so_and_keeps_none(
    database: str, broker: str, blobs: Blobs
) -> None:
    bundle = stored_bundle(blobs, healthy_chest=False)
    _, reading, image = a_read_image(blobs, bundle)
    looks.ask_for_map(reading, bundle=bundle, sha256=image, media_type="application/dicom")
    Glass(settings(), blobs=blobs).drain(stop=threading.Event())
    look = looks.find_map(reading)
    assert look is not None
    assert "carries no healthy chest" in str(look.reason)
    with transaction() as session:
        assert session.scalars(select(OcclusionMap)).all() == []


def test_the_duty_worker_answers(glass: Glass, blobs: Blobs, start_worker: StartWorker) -> None:
    start_worker(queue="duty", threads=4)
    look_id = asked(blobs, a_dicom())
    counted = looks.ask_for_counts(by=ME, datasets=[], reviews=True)
    until(lambda: looks.find(look_id, by=ME).state == "done")
    until(lambda: looks.find(counted, by=ME, task=COUNT_SNAPSHOT).state == "done")
    assert looks.find(counted, by=ME, task=COUNT_SNAPSHOT).answer["images"] == 0
