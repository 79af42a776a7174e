"""Similar confirmed cases without scripts."""

from __future__ import annotations

from sqlalchemy import select

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.roles import Role
from app.records import AuditEvent
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, words
from tests.builders import a_screened_study, a_signed_study, towards


def test_the_study_page_leads_to_its_cases_and_fetches_none_itself(browser: Browser, blobs: Blobs) -> None:
    reader = browser("alice", Role.RADIOLOGIST)
    asked = a_screened_study(blobs, embedding=towards(0), patient_id="asked").study_id
    case = a_signed_study(blobs, embedding=towards(10), patient_id="other", say=Statement.ABSENT)
    page = get(reader, f"/studies/{asked}")
    assert f'href="/studies/{asked}/similar"' in page
    assert str(case) not in page
    with transaction() as session:
        asking = AuditEvent.action == "study.similar-asked"
        assert session.scalars(select(AuditEvent).where(asking)).all() == []
    cases = get(reader, f"/studies/{asked}/similar")
    assert f'href="/studies/{case}"' in cases
    said = words(cases)
    assert "1 signed study of other patients" in said
    assert "Pneumonia absent ≠ network corrected" in said
    assert "1 reader" in said
    assert "dr.lee" not in said


def test_whoever_may_not_review_is_not_offered_cases(browser: Browser, blobs: Blobs) -> None:
    asked = a_screened_study(blobs, embedding=towards(0)).study_id
    admin = browser("adam", Role.ADMINISTRATOR)
    assert "Similar confirmed cases" not in get(admin, f"/studies/{asked}")
    refused = admin.get(f"/studies/{asked}/similar", headers={"Accept": "text/html"})
    assert refused.status_code == 403
