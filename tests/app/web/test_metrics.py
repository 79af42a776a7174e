"""What Prometheus is told: the golden signals, the workers' counts, few labels, and nobody's name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from redis import Redis
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app import counted, queue
from app.blobs import Blobs
from app.domain.roles import Scope
from app.domain.states import Outcome
from app.embedded.valkey import EmbeddedValkey
from app.queue import configure_from_settings
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from app.web.main import create_app
from tests.app.web.conftest import KeyMaker
from tests.builders import an_admitted_study, image_read
from worker.network import Loaded, Network
from worker.recorder import Recorder
from worker.sweep import Sweeper

_PATIENT = "Muster^Anna"


@pytest.fixture
def loaded(database: str, blobs: Blobs) -> Loaded:
    """The bundle shipped with the program."""
    return Network(blobs, device="cpu", configured=None).current()


@pytest.fixture
def asked(key: KeyMaker) -> dict[str, str]:
    """The header of a key that may ask."""
    return key(Scope.OPERATIONS)


def _samples(client: TestClient, headers: dict[str, str]) -> list[Sample]:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert _PATIENT not in answer.text
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


def _value(samples: list[Sample], name: str, **labels: str) -> float:
    found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    assert found, f"no {name} {labels}"
    return sum(found)


def test_a_reading_is_counted_with_its_wait_its_kind_of_reason_and_its_scores(
    client: TestClient, asked: dict[str, str], blobs: Blobs, loaded: Loaded
) -> None:
    for _ in range(2):
        an_admitted_study(blobs, tags={"PatientName": _PATIENT})
    recorder = Recorder(settings(), ring=lambda _: None)
    with transaction() as session:
        session.execute(update(Study).values(arrived_at=now() - timedelta(seconds=45)))
    first, second = recorder.claim()
    withheld = image_read(
        second.images[0].image_id,
        outcome=Outcome.WITHHELD,
        reason=f"This is a lateral view of {_PATIENT}; this network knows frontal views.",
    )
    recorder.record(
        [(first, [image_read(first.images[0].image_id, probability=0.62)]), (second, [withheld])],
        loaded=loaded,
    )
    samples = _samples(client, asked)
    assert _value(samples, "firstread_readings_total", outcome="screened", kind="") == 1
    assert _value(samples, "firstread_readings_total", outcome="withheld", kind="view") == 1
    wait = "firstread_time_to_reading_seconds"
    assert _value(samples, f"{wait}_count", outcome="screened") == 1
    assert 45 <= _value(samples, f"{wait}_sum", outcome="screened") < 300
    assert _value(samples, f"{wait}_bucket", outcome="screened", le="30.0") == 0
    assert _value(samples, f"{wait}_bucket", outcome="screened", le="300.0") == 1
    of = {"bundle": loaded.sha256[:12], "finding": "pneumonia"}
    assert _value(samples, "firstread_score_bucket", **of, le="0.6") == 0
    assert _value(samples, "firstread_score_bucket", **of, le="0.7") == 1
    assert _value(samples, "firstread_score_sum", **of) == 0.62


def test_a_result_whose_lease_was_lost_and_an_attempt_that_is_not_the_last_do_not_count(
    client: TestClient, asked: dict[str, str], blobs: Blobs, loaded: Loaded
) -> None:
    an_admitted_study(blobs)
    recorder = Recorder(settings(), ring=lambda _: None)
    [study] = recorder.claim()
    recorder.give_back()
    recorder.record([(study, [image_read(study.images[0].image_id)])], loaded=loaded)
    [study] = recorder.claim()
    recorder.postpone(study, "The stored bytes cannot be read.")
    assert counted.counts().readings == {}

    with transaction() as session:
        session.execute(update(Study).values(screening_not_before=None, screening_attempts=3))
    [study] = recorder.claim()
    recorder.postpone(study, "The stored bytes cannot be read.")
    samples = _samples(client, asked)
    assert _value(samples, "firstread_readings_total", outcome="failed", kind="storage") == 1
    with transaction() as session:
        assert session.scalars(select(Study.state)).one() == "failed"


def test_labels_stay_few_whatever_is_sent_and_whatever_the_broker_holds(
    client: TestClient, asked: dict[str, str], valkey: EmbeddedValkey
) -> None:
    before = {(s.name, *sorted(s.labels.items())) for s in _samples(client, asked)}
    for number in range(30):
        client.get(f"/studies/{_PATIENT}-{number}", follow_redirects=False)
        client.get(f"/nowhere/{_PATIENT}/{number}")
        client.get(f"/api/v1/worklist?cursor={_PATIENT}{number}")
        client.request(f"ODD{number}", "/healthz")
        client.request("QUERY", f"/{number}%00")
    raw = Redis(unix_socket_path=str(valkey.socket))
    for number in range(100):
        raw.hset("firstread:counted:readings", f"withheld|{_PATIENT}{number}", 1)
        raw.hset("firstread:counted:readings", f"{_PATIENT}{number}|view", 1)
        raw.hset("firstread:counted:waited", f"{_PATIENT}{number}|2.0", 1)
        raw.zadd("firstread:counted:bundles", {f"{number:012x}": number})
        raw.hset(f"firstread:counted:scores:{number:012x}", f"{_PATIENT}|0.5", 1)
        raw.hset(f"firstread:counted:scores:{number:012x}", f"finding{number}|0.5", 1)
    for number in range(60):
        raw.hset(f"firstread:counted:scores:{99:012x}", f"finding{number}|0.5", 1)
    queue.report(f"{_PATIENT}-1", {"part": _PATIENT}, seconds=60)
    samples = _samples(client, asked)
    assert {s.labels["method"] for s in samples if s.name == "firstread_http_requests_total"} <= {
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
    }
    assert _value(samples, "firstread_readings_total", kind="other") == 100
    assert len({s.labels["bundle"] for s in samples if s.name == "firstread_score_count"}) == 8
    assert len([s for s in samples if s.name == "firstread_score_count"]) <= 8 * 32
    new = {(s.name, *sorted(s.labels.items())) for s in samples} - before
    assert len([one for one in new if one[0].startswith("firstread_http")]) < 100


def test_what_workers_say_of_themselves_is_counted_by_their_part(
    client: TestClient, asked: dict[str, str], blobs: Blobs
) -> None:
    assert not any(s.name == "firstread_sweep_age_seconds" for s in _samples(client, asked))
    queue.report("screening-1@here", {"part": "screening"}, seconds=60)
    queue.report("screening-2@here", {"part": "screening"}, seconds=60)
    Sweeper(settings(), blobs=blobs).sweep()
    an_admitted_study(blobs)
    queue.ring(queue.SCREEN, "x")
    samples = _samples(client, asked)
    assert _value(samples, "firstread_workers", part="screening") == 2
    assert _value(samples, "firstread_workers", part="duty") == 0
    assert 0 <= _value(samples, "firstread_sweep_age_seconds") < 60
    assert _value(samples, "firstread_bells", queue="screening") == 1
    assert _value(samples, "firstread_screening_due") == 1
    assert _value(samples, "firstread_disk_free_bytes", place="blobs") > 0
    assert _value(samples, "firstread_http_requests_in_flight") == 1


def test_a_silent_broker_leaves_its_part_out(
    client: TestClient, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _silent_broker(monkeypatch):
        samples = _samples(client, asked)
    assert _value(samples, "firstread_broker_up") == 0
    assert not any(s.name.startswith("firstread_readings") for s in samples)
    assert _value(samples, "firstread_studies", state="admitted") == 0


def test_every_web_process_tells_the_same_of_the_workers(
    client: TestClient, asked: dict[str, str], blobs: Blobs, loaded: Loaded
) -> None:
    an_admitted_study(blobs)
    recorder = Recorder(settings(), ring=lambda _: None)
    [study] = recorder.claim()
    recorder.record([(study, [image_read(study.images[0].image_id)])], loaded=loaded)
    with TestClient(create_app(), base_url="http://another.test") as another:
        told = [
            [s for s in _samples(one, asked) if s.name.startswith(("firstread_readings", "firstread_score"))]
            for one in (client, another)
        ]
    assert told[0] == told[1] != []


def test_what_a_killed_web_process_was_answering_is_not_told_for_ever(tmp_path: Path) -> None:
    killed = (
        "import os, signal; from app.web import metrics; metrics.in_flight().__enter__();"
        "metrics.observe(method='GET', route='/healthz', status=200, seconds=0.1);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert _in_a_process(tmp_path, killed).returncode == -9
    assert list(tmp_path.glob("gauge_livesum_*.db"))
    told = _in_a_process(tmp_path, "from app.web import metrics; print(metrics.exposition().decode())").stdout
    assert 'firstread_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in told
    assert "firstread_http_requests_in_flight 1.0" not in told


def _in_a_process(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/env", f"PROMETHEUS_MULTIPROC_DIR={folder}", sys.executable, "-c", program]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@contextmanager
def _silent_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service looks for its broker where none is."""
    was = str(settings().broker_url)
    for url in ("redis://127.0.0.1:1/0", was):
        monkeypatch.setenv("FIRSTREAD_BROKER_URL", url)
        settings.cache_clear()
        configure_from_settings()
        if url != was:
            yield
