"""What the study page offers to stand beside its pictures."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands.intake import GivenMetadata
from app.domain.roles import Role
from app.records import AuditEvent
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, pictures
from tests.builders import a_dicom, a_screened_study, admit, an_admitted_study


def beside(page: str) -> dict[str, Any]:
    return json.loads(re.search(r'id="study-beside">(.*?)</script>', page, re.S).group(1))


def test_the_two_latest_earlier_studies_are_offered_and_no_later_one(browser: Browser, blobs: Blobs) -> None:
    older, newer, _, _ = (
        an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": day})
        for day in ("20240105", "20250607", "20200101", "20260401")
    )
    study = a_screened_study(blobs, patient_id="P7", tags={"StudyDate": "20260301"})
    told = beside(get(browser("alice", Role.RADIOLOGIST), f"/studies/{study.study_id}"))
    assert told["date"] == "1 Mar 2026"
    assert [prior["study"] for prior in told["priors"]] == [str(newer.study_id), str(older.study_id)]
    assert told["priors"][0]["date"] == "7 Jun 2025"


def test_of_many_studies_sent_newest_first_the_latest_stand_beside_and_are_listed(
    browser: Browser, blobs: Blobs
) -> None:
    current = a_screened_study(blobs, patient_id="P7", tags={"StudyDate": "20260301"})
    sent = [
        an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": f"2025{month:02}{day:02}"}).study_id
        for month in range(12, 0, -1)
        for day in (20, 10)
    ]
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{current.study_id}")
    assert [prior["study"] for prior in beside(page)["priors"]] == [str(study) for study in sent[:2]]
    listed = re.findall(r'<li><a href="/studies/([^"]+)"', page.split('aria-label="Priors"')[1])
    assert listed == [str(study) for study in sent[:20]]
    old = beside(get(alice, f"/studies/{sent[21]}"))
    assert [prior["study"] for prior in old["priors"]] == [str(study) for study in sent[22:]]


def test_of_one_day_what_came_before_and_what_was_sent_as_a_prior_is_earlier(
    browser: Browser, blobs: Blobs
) -> None:
    def came(purpose: str = "current", **tags: str) -> str:
        with transaction() as session:
            given = GivenMetadata(purpose=purpose)
            return str(admit(session, blobs, a_dicom(patient_id="P7", tags=tags), given=given).study_id)

    first, study, later = (came(StudyDate="20260301") for _ in range(3))
    prior = came("prior", StudyDate="20260301")
    told = beside(get(browser("alice", Role.RADIOLOGIST), f"/studies/{study}"))
    assert [earlier["study"] for earlier in told["priors"]] == [prior, first]
    assert later not in str(told)


def test_a_priors_pictures_come_without_the_networks_words_and_are_a_view_on_record(
    browser: Browser, session, blobs: Blobs
) -> None:
    prior = a_screened_study(blobs, probability=0.97)
    answer = browser("alice", Role.RADIOLOGIST).get(f"/studies/{prior.study_id}/pictures")
    [image] = answer.json()["images"]
    assert image["preview"] == f"/api/v1/images/{prior.image_id}/preview"
    assert (image["heat"], image["heatFrom"], image["notRead"]) == ([], None, None)
    assert "0.97" not in answer.text
    [viewed] = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all()
    assert (viewed.study_id, viewed.actor_name) == (prior.study_id, "alice")
    assert viewed.details == {"via": "comparison"}


def test_a_priors_superseded_picture_says_that_it_was_superseded(browser: Browser, blobs: Blobs) -> None:
    same = {"seed": 7, "study_instance_uid": "2.25.7", "sop_instance_uid": "2.25.1", "patient_id": "P7"}
    with transaction() as session:
        wrong = admit(session, blobs, a_dicom(**same, patient_age="003Y"))
        right = admit(session, blobs, a_dicom(**same, patient_age="004Y"))
    told = browser("alice", Role.RADIOLOGIST).get(f"/studies/{right.study_id}/pictures").json()["images"]
    assert [(image["id"], image["superseded"], image["notRead"]) for image in told] == [
        (str(right.image_id), False, None),
        (
            str(wrong.image_id),
            True,
            "Superseded by a later version of its header; kept, not read.",
        ),
    ]


def test_who_may_not_read_gets_no_prior(browser: Browser, session, blobs: Blobs) -> None:
    prior = an_admitted_study(blobs)
    auditor = browser("olaf", Role.AUDITOR)
    assert auditor.get(f"/studies/{prior.study_id}/pictures", headers=ACCEPT).status_code == 403
    assert browser("alice", Role.RADIOLOGIST).get(f"/studies/{uuid4()}/pictures").status_code == 404
    assert session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all() == []


def test_the_viewer_knows_direction_and_what_the_spacing_is_of(browser: Browser, blobs: Blobs) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    told = {}
    for name, tags in {
        "calibrated": {"ViewPosition": "PA", "PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]},
        "repeated": {"ViewPosition": "LL", "PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]},
        "detector": {"ViewPosition": "RLO", "ImagerPixelSpacing": [0.2, 0.2]},
    }.items():
        study = an_admitted_study(blobs, tags=tags)
        [told[name]] = pictures(get(alice, f"/studies/{study.study_id}"))
    assert [told[name]["direction"] for name in told] == ["frontal", "lateral", None]
    assert [told[name]["atDetector"] for name in told] == [False, True, True]
    assert told["calibrated"]["spacing"] == [0.2, 0.1]
    assert "0.2 × 0.1 mm/pixel" in told["calibrated"]["overlay"]["bottomLeft"][1]
    assert told["repeated"]["overlay"]["bottomLeft"][1].endswith("0.2 mm/pixel at the detector")


@pytest.mark.parametrize(
    ("imager", "at_detector"),
    [(["0.14300001", "0.143"], True), (["0.1429", "0.1431"], True), (["0.1445", "0.143"], False)],
)
def test_a_spacing_that_is_repeated_in_other_digits_is_still_the_detectors(
    browser: Browser, blobs: Blobs, imager: list[str], at_detector: bool
) -> None:
    tags = {"PixelSpacing": ["0.143", "0.143"], "ImagerPixelSpacing": imager}
    study = an_admitted_study(blobs, tags=tags)
    [told] = pictures(get(browser("alice", Role.RADIOLOGIST), f"/studies/{study.study_id}"))
    assert (told["spacing"], told["atDetector"]) == ([0.143, 0.143], at_detector)
