"""The network's page: what its lanes promise, to whom, and how it did at this site."""

from __future__ import annotations

import json

from app.blobs import Blobs
from app.commands import registry
from app.commands.review import Statement
from app.domain.order import Lane
from app.domain.roles import SYSTEM, Role
from app.records.engine import transaction
from models.bundle import Bundle, default_bundle_path
from models.manifest import to_json
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, words
from tests.builders import BUNDLE, a_signed_study


def test_the_lanes_promise_is_said_to_be_the_development_datas(browser: Browser, blobs: Blobs) -> None:
    shipped = Bundle.load(default_bundle_path(), device="cpu")
    with transaction() as session:
        registry.register(session, sha256=BUNDLE, manifest=json.loads(to_json(shipped.manifest)), by=SYSTEM)
        registry.promote(session, sha256=BUNDLE, by=SYSTEM, reason="test")
    page = words(get(browser("root", Role.ADMINISTRATOR), "/models"))
    cuts = shipped.manifest.thresholds["pneumonia"]
    assert "of patients without it at most 5% are ruled in" in page
    assert "of patients with it at most 2% are ruled out" in page
    assert f"{cuts.patients_with} patients with it and {cuts.patients_without} without" in page
    assert "The guarantee is the development data’s, not this site’s" in page
    assert "it takes 600 studies" in page


def test_the_site_sees_how_often_the_network_was_right_here(browser: Browser, blobs: Blobs) -> None:
    with transaction() as session:
        registry.register(
            session,
            sha256=BUNDLE,
            manifest={"name": "n", "version": "1", "findings": [{"name": "pneumonia"}]},
            by=SYSTEM,
        )
    reader = browser("root", Role.ADMINISTRATOR)
    a_signed_study(blobs)
    before = words(get(reader, "/models"))
    a_signed_study(blobs, say=Statement.ABSENT)
    a_signed_study(blobs, lane=Lane.RULE_OUT, probability=0.01)
    page = words(get(reader, "/models"))
    assert "1 of 1 100.0 %" in before
    assert "With the finding 1 of 3 33.3 % 6.1 to 79.2 %" in page
    assert "Called present, and it was (positive predictive value) 1 of 2 50.0 %" in page
    assert "With the finding, but ruled out 0 of 1 0.0 %" in page
