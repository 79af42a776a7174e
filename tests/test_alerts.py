"""Alert rules and dashboard: whole, in Prometheus's language, and of metrics that the service tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app import counted
from app.blobs import Blobs
from app.commands import audit
from app.domain.counting import counted as count_of
from app.domain.roles import SYSTEM, Scope
from app.records.engine import transaction
from app.settings import settings
from app.web import metrics
from app.web.main import create_app
from tests.builders import a_key, an_admitted_study
from worker.sweep import Sweeper

_FOLDER = Path(__file__).parent.parent / "docs" / "operations"
_RULES: dict[str, Any] = yaml.safe_load((_FOLDER / "alerts.yaml").read_text())
_ALERTS: list[dict[str, Any]] = [rule for group in _RULES["groups"] for rule in group["rules"]]
_DASHBOARD: dict[str, Any] = json.loads((_FOLDER / "dashboard.json").read_text())
_OF_ALL = ("firstread_readings", "firstread_time_to_reading", "firstread_score")
"""What every web process tells alike."""
_DURATION = re.compile(r"\d+[smhd]")


def _asked_by_dashboard() -> list[str]:
    asked = [target["expr"] for panel in _DASHBOARD["panels"] for target in panel["targets"]]
    return [
        text.replace("$__rate_interval", "5m").replace("$bundle", "b").replace("$finding", "f")
        for text in asked
    ]


EXPRESSIONS = [*(rule["expr"] for rule in _ALERTS), *_asked_by_dashboard()]


def _selectors(node: Any) -> Iterator[Any]:
    """Every metric that an expression asks for, with its labels."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _selectors(node.lhs)
        yield from _selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for each in node.args:
            yield from _selectors(each)
    elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr | promql_parser.UnaryExpr):
        yield from _selectors(node.expr)
    else:
        assert isinstance(node, promql_parser.NumberLiteral), type(node)


@pytest.fixture
def told(database: str, broker: str, blobs: Blobs) -> dict[str, set[str]]:
    """The samples' names that the service tells, each with its labels' names."""
    an_admitted_study(blobs)
    Sweeper(settings(), blobs=blobs).sweep()
    reading = {"waited_seconds": 3.0, "bundle": "ab" * 32, "findings": {"pneumonia": {"probability": 0.5}}}
    counted.add([count_of(outcome="screened", reason=None, **reading)])  # type: ignore[arg-type]
    with transaction() as session:
        audit.record(session, action="site.backup-whole", by=SYSTEM, lost=0)
    metrics.images_received.labels("rest", "accepted").inc()
    with transaction() as session:
        key = a_key(session, "prometheus", Scope.OPERATIONS)
    with TestClient(create_app()) as client:
        answers = [client.get("/metrics", headers={"Authorization": f"Bearer {key}"}) for _ in range(2)]
    known: dict[str, set[str]] = {"up": {"job"}}
    for family in text_string_to_metric_families(answers[-1].text):
        for sample in family.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    return known


def test_every_metric_and_label_that_is_asked_for_is_told(told: dict[str, set[str]]) -> None:
    asked = [one for text in EXPRESSIONS for one in _selectors(promql_parser.parse(text))]
    assert len(asked) > 50
    assert {one.name for one in asked} - set(told) == set()
    wrong = [
        (one.name, matcher.name)
        for one in asked
        for matcher in one.matchers.matchers
        if matcher.name not in told[one.name]
    ]
    assert wrong == []


def test_what_every_process_tells_alike_is_not_added_up_over_them() -> None:
    for text in EXPRESSIONS:
        for found in re.finditer(rf"(\w+)\(({'|'.join(_OF_ALL)})", text):
            before = text[: found.start()]
            assert before.endswith("max without (instance) ("), text


def test_every_alert_is_whole_and_has_a_place_in_the_runbook() -> None:
    runbook = (_FOLDER / "runbook.md").read_text()
    sections = re.findall(r"^### (\w+)$", runbook, re.MULTILINE)
    assert [rule["alert"] for rule in _ALERTS] == sections
    for rule in _ALERTS:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert _DURATION.fullmatch(rule["for"])
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook_url"] == f"runbook.md#{rule['alert'].lower()}"
        parsed = promql_parser.parse(rule["expr"])
        assert isinstance(parsed, promql_parser.BinaryExpr), "an alert compares"


def test_the_dashboard_is_whole_and_its_panels_lie_beside_each_other() -> None:
    panels = _DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    assert [one["name"] for one in _DASHBOARD["templating"]["list"]] == ["datasource", "bundle", "finding"]
