"""The audit trail's pages: who saw a patient's studies, asked by those who may see the trail."""

from __future__ import annotations

import re

from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import viewing
from app.dicom.audit_codes import MEANINGS
from app.domain.roles import SYSTEM, Role
from app.records import AuditEvent, Study
from app.records.engine import transaction
from app.web.pages.deeds import DEEDS
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, post, words
from tests.audited import record_events
from tests.builders import an_admitted_study


def test_every_action_of_the_trail_is_an_event_of_dicom() -> None:
    assert set(DEEDS) - set(MEANINGS) == set()


def test_an_auditor_asks_who_saw_a_patients_studies(browser: Browser, blobs: Blobs) -> None:
    mine = [an_admitted_study(blobs, patient_id="P-1").study_id for _ in range(2)]
    other = an_admitted_study(blobs, patient_id="P-1").study_id
    with transaction() as session:
        session.execute(update(Study).values(issuer_of_patient_id="A").where(Study.id.in_(mine)))
        for study in (*mine, other):
            viewing.view(session, study_id=study, by=SYSTEM, via="page")
    auditor = browser("vera", Role.AUDITOR)
    form = get(auditor, "/audit/patient")
    assert "/audit/patient" in get(auditor, "/audit")
    both = post(auditor, "/audit/patient", form, patient_id=" P-1 ", issuer="A").text
    assert "2 studies of this patient." in words(both)
    assert {study for study in (*mine, other) if f'title="{study}"' in both} == set(mine)
    assert words(both).count("study.viewed") == 2
    anybody = post(auditor, "/audit/patient", form, patient_id="P-1").text
    assert f'title="{other}"' in anybody
    of_study = post(auditor, "/audit/patient", form, study=str(mine[1])).text
    assert f'title="{mine[0]}"' in of_study
    assert "The study you named is one of them." in words(of_study)
    with transaction() as session:
        asked = session.scalars(select(AuditEvent).where(AuditEvent.action == "audit.patient-asked")).all()
        assert [(row.actor_name, row.details) for row in asked] == [
            ("vera", {"studies": 2}),
            ("vera", {"studies": 3}),
            ("vera", {"studies": 2}),
        ]


def test_a_long_answer_goes_on_by_posting_and_each_page_is_on_record(browser: Browser, blobs: Blobs) -> None:
    study = an_admitted_study(blobs, patient_id="P-1").study_id
    with transaction() as session:
        for _ in range(120):
            viewing.view(session, study_id=study, by=SYSTEM, via="page")
    record_events(1)
    auditor = browser("vera", Role.AUDITOR)
    first = post(auditor, "/audit/patient", get(auditor, "/audit/patient"), patient_id="P-1").text
    before = re.search(r'name="before" value="(\d+)"', first)
    assert before is not None
    rest = post(auditor, "/audit/patient", first, patient_id="P-1", before=before[1]).text
    assert 'name="before"' not in rest
    assert (words(first) + words(rest)).count("study.viewed") == 120
    with transaction() as session:
        asked = session.scalars(select(AuditEvent).where(AuditEvent.action == "audit.patient-asked")).all()
        assert len(asked) == 2, "whoever names a page has asked too"


def test_a_question_that_means_nobody_is_answered_in_words(browser: Browser) -> None:
    auditor = browser("vera", Role.AUDITOR)
    form = get(auditor, "/audit/patient")
    for fields, status, said in (
        ({"patient_id": "P-9"}, 404, "No study here is meant by that"),
        ({}, 422, "Give either a patient ID or a study."),
        ({"patient_id": "P-9", "study": "1.2.3"}, 422, "Give either a patient ID or a study."),
        ({"patient_id": "P" * 65}, 422, "at most 64 characters"),
        ({"patient_id": "P-9", "before": "x"}, 422, "cannot be continued from there"),
        ({"patient_id": "P-9", "before": "9" * 30}, 422, "cannot be continued from there"),
        ({"patient_id": "P-9", "before": "0" * 20 + "9" * 5000}, 422, "cannot be continued from there"),
    ):
        answer = post(auditor, "/audit/patient", form, **fields)
        assert (answer.status_code, said in words(answer.text)) == (status, True), answer.text


def test_who_may_not_see_the_trail_learns_nothing_of_a_patient(browser: Browser, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="P-1")
    radiologist = browser("rudi", Role.RADIOLOGIST)
    assert radiologist.get("/audit/patient", headers=ACCEPT).status_code == 403
    page = get(radiologist, "/account")
    assert post(radiologist, "/audit/patient", page, patient_id="P-1").status_code == 403
