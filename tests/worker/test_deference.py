"""A worker whose network cannot be loaded, beside one that reads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app import queue
from app.blobs import Blobs
from app.commands import registry
from app.dicom.decoder_pool import DecoderPool
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.records import Study
from app.records.engine import transaction
from app.settings import settings
from tests.builders import an_admitted_study
from worker import deference
from worker.deference import Deference
from worker.network import Network
from worker.recorder import Recorder
from worker.screener import Screener


@pytest.fixture
def without_network(
    database: str, blobs: Blobs, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Screener]:
    """`without_network(others_read=..., pass_on=...)`: a screener where the promoted bundle is none."""
    monkeypatch.setattr(deference, "_REST_SECONDS", 0.01)
    with transaction() as session:
        junk = blobs.put(b"not a bundle")
        registry.register(session, sha256=junk, manifest={"name": "junk", "version": "0"}, by=SYSTEM)
        registry.promote(session, sha256=junk, by=SYSTEM, reason="test")

    def make(*, others_read: Callable[[], bool], pass_on: Callable[[], None]) -> Screener:
        network = Network(blobs, device="cpu", configured=None)
        network._offered = True  # the site has decided on the junk
        return Screener(
            blobs=blobs,
            pool=pool,
            network=network,
            recorder=Recorder(settings(), ring=lambda _: None),
            configuration=settings(),
            stop=threading.Event(),
            deference=Deference(network, others_read=others_read, pass_on=pass_on),
        )

    return make


def test_it_claims_nothing_and_passes_the_bell_on_while_a_study_waits(
    without_network: Callable[..., Screener], blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    passed_on: list[str] = []
    screener = without_network(others_read=lambda: True, pass_on=lambda: passed_on.append("bell"))
    assert screener.drain() == 0
    with transaction() as session:
        study = session.get_one(Study, admission.study_id)
        assert (study.state, study.screening_attempts, study.screening_lease) == (State.ADMITTED, 0, None)
        study.screening_due = False
    assert passed_on == ["bell"]
    screener.drain()
    assert passed_on == ["bell"], "where nothing waits the bell falls silent"
    screener.close()


def test_where_nobody_can_read_the_study_says_why(
    without_network: Callable[..., Screener], blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    screener = without_network(others_read=lambda: False, pass_on=lambda: pytest.fail("for whom?"))
    screener.drain()
    with transaction() as session:
        assert session.get_one(Study, admission.study_id).screening_attempts == 1
    screener.close()


def test_only_a_worker_that_has_loaded_a_network_counts(broker: str) -> None:
    assert not queue.somebody_reads()
    queue.report("screening-1", {"refused": "The network could not be loaded."}, seconds=60)
    queue.report("screening-2", {}, seconds=60)
    assert not queue.somebody_reads()
    queue.report("screening-3", {"network": "x 1", "bundle": "c" * 64, "runtime": "cpu"}, seconds=60)
    assert queue.somebody_reads()
