"""Which network reads at a site: the shipped one at first, then whatever was promoted last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM
from app.records import Bundle as BundleRecord
from app.records import Promotion, Reading
from app.records.engine import transaction
from models.bundle import Bundle, default_bundle_path
from tests.builders import an_admitted_study
from tests.worker.conftest import until
from tests.worker.test_screener import another_bundle
from worker.network import Network, NetworkUnavailable
from worker.screener import Screener


def promotions() -> list[tuple[str, str]]:
    with transaction() as session:
        rows = session.scalars(select(Promotion).order_by(Promotion.sequence))
        return [(row.bundle_sha256, row.reason) for row in rows]


def test_the_first_start_promotes_the_shipped_bundle_and_keeps_its_bytes(
    database: str, blobs: Blobs, bundle: Bundle, loaded_once: None
) -> None:
    loaded = Network(blobs, device="cpu", configured=None).current()
    assert loaded.sha256 == bundle.manifest.sha256
    assert promotions() == [(loaded.sha256, "shipped with the program")]
    assert blobs.read(loaded.sha256) == default_bundle_path().read_bytes()
    with transaction() as session:
        assert session.get_one(BundleRecord, loaded.sha256).manifest["name"] == bundle.manifest.name


def test_the_first_start_loads_its_network_once(
    database: str, blobs: Blobs, loaded_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loads = Bundle.load, []

    def counted(path: Path, *, device: str = "auto") -> Bundle:
        loads.append(path)
        return load(path, device=device)

    monkeypatch.setattr(Bundle, "load", counted)
    network = Network(blobs, device="cpu", configured=None)
    assert network.current() is network.current()
    assert loads == [default_bundle_path()]


def test_workers_that_start_together_promote_once(database: str, blobs: Blobs, loaded_once: None) -> None:
    networks = [Network(blobs, device="cpu", configured=None) for _ in range(4)]
    threads = [threading.Thread(target=network.current) for network in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(promotions()) == 1


def test_the_bundle_of_a_newer_program_waits_for_an_administrator(
    database: str, blobs: Blobs, bundle: Bundle, tmp_path: Path, loaded_once: None
) -> None:
    path, older, _ = another_bundle(tmp_path, version="0")
    Network(blobs, device="cpu", configured=path).current()
    upgraded = Network(blobs, device="cpu", configured=None)
    assert upgraded.current().sha256 == older
    with transaction() as session:
        assert registry.is_known(session, sha256=bundle.manifest.sha256)
    assert len(promotions()) == 1
    with transaction() as session:
        registry.promote(session, sha256=bundle.manifest.sha256, by=SYSTEM, reason="the newer is better")
    assert upgraded.current().sha256 == bundle.manifest.sha256


def test_a_bundle_that_is_configured_later_waits_as_a_candidate_and_the_log_says_so(
    database: str, blobs: Blobs, bundle: Bundle, tmp_path: Path, loaded_once: None
) -> None:
    Network(blobs, device="cpu", configured=None).current()
    path, sha256, _ = another_bundle(tmp_path, version="2")
    for _ in range(2):
        with capture_logs() as log:
            assert Network(blobs, device="cpu", configured=path).current().sha256 == bundle.manifest.sha256
        [waits] = [line for line in log if line["event"] == "configured_bundle_waits"]
        assert (waits["bundle"], waits["reads"]) == (sha256[:12], bundle.manifest.sha256[:12])
    with transaction() as session:
        assert registry.is_known(session, sha256=sha256)
    assert len(promotions()) == 1


def test_a_configured_bundle_reads_first_and_yields_to_later_promotions(
    database: str, blobs: Blobs, bundle: Bundle, tmp_path: Path, loaded_once: None
) -> None:
    path, sha256, _ = another_bundle(tmp_path, version="2")
    configured = Network(blobs, device="cpu", configured=path)
    assert configured.current().sha256 == sha256
    assert configured.describe()["network"] == "paediatric-pneumonia 2"
    Network(blobs, device="cpu", configured=None).current()  # the shipped one becomes known
    with transaction() as session:
        registry.promote(session, sha256=bundle.manifest.sha256, by=SYSTEM, reason="the older was better")
    assert configured.current().sha256 == bundle.manifest.sha256
    assert Network(blobs, device="cpu", configured=path).current().sha256 == bundle.manifest.sha256


def test_a_damaged_bundle_never_lets_an_older_one_read_in_its_stead(
    database: str, blobs: Blobs, loaded_once: None
) -> None:
    network = Network(blobs, device="cpu", configured=None)
    network.current()
    junk = blobs.put(default_bundle_path().read_bytes()[:-100])
    with transaction() as session:
        registry.register(session, sha256=junk, manifest={"name": "cut", "version": "1"}, by=SYSTEM)
        registry.promote(session, sha256=junk, by=SYSTEM, reason="test")
    for _ in range(2):
        with pytest.raises(NetworkUnavailable, match="could not be loaded"):
            network.current()
    assert "could not be loaded" in network.describe()["refused"]


def test_a_promotion_in_a_stream_of_studies_leaves_none_unread_and_each_reading_names_its_bundle(
    blobs: Blobs, bundle: Bundle, make_screener: Callable[[], Screener], tmp_path: Path
) -> None:
    path, newer, manifest = another_bundle(tmp_path, version="2")
    assert blobs.put(path.read_bytes()) == newer
    screener, studies, ended = make_screener(), [an_admitted_study(blobs).study_id], threading.Event()
    assert screener.drain() == 1

    def stream() -> None:
        while not ended.is_set() and len(studies) < 40:
            studies.append(an_admitted_study(blobs).study_id)

    sender = threading.Thread(target=stream)
    sender.start()
    try:
        until(lambda: len(studies) > 5)
        screener.drain()
        with transaction() as session:
            registry.register(session, sha256=newer, manifest=manifest, by=SYSTEM)
            registry.promote(session, sha256=newer, by=SYSTEM, reason="a better one", kind="promotion")
        so_far = len(studies)
        until(lambda: len(studies) > so_far + 5)
    finally:
        ended.set()
        sender.join()
    screener.drain()
    with transaction() as session:
        read = session.execute(
            select(Reading.study_id, Reading.bundle_sha256, Reading.read_at).order_by(Reading.sequence)
        ).all()
        promoted_at = session.scalars(
            select(Promotion.promoted_at).where(Promotion.bundle_sha256 == newer)
        ).one()
    assert sorted(row.study_id for row in read) == sorted(studies), "each study was read, and once"
    by = [row.bundle_sha256 for row in read]
    first = by.index(newer)
    assert set(by[:first]) == {bundle.manifest.sha256} and set(by[first:]) == {newer}
    assert all(row.read_at > promoted_at for row in read[first:])
