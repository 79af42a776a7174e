"""The rule from reviews to labels, clause by clause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.review_label import ReviewLabel, SignedReview, SignedStudy, Why, label_of_review, told

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEE, KIM, ROY = uuid4(), uuid4(), uuid4()


def signed(said: str = "present", *, by: UUID = LEE, **review: Any) -> SignedReview:
    usual: dict[str, Any] = {
        "id": uuid4(),
        "reviewer_kind": "user",
        "reviewer_id": by,
        "reviewer_name": "dr.lee",
        "verdict": "confirmed",
        "findings": {"pneumonia": said},
        "image_ids": ["1"],
        "blind": False,
        "final_at": None,
        "is_adjudication": False,
    }
    return SignedReview(**usual | review)


def a_study(*reviews: SignedReview, **study: Any) -> SignedStudy:
    usual: dict[str, Any] = {
        "is_sample": False,
        "purpose": "current",
        "state": "signed",
        "in_conflict": False,
        "reviews": reviews,
        "superseded_by": {},
    }
    return SignedStudy(**usual | study)


def labelled(*reviews: SignedReview) -> ReviewLabel:
    found = label_of_review(a_study(*reviews), at=AT)
    assert isinstance(found, ReviewLabel)
    return found


def test_a_finding_that_is_present_is_the_label_and_none_is_normal() -> None:
    assert labelled(signed("present")).label == "pneumonia"
    assert labelled(signed("absent")).label == "NORMAL"


@pytest.mark.parametrize("verdict", ["confirmed", "corrected", "read"])
def test_the_verdict_is_the_source(verdict: str) -> None:
    assert labelled(signed(verdict=verdict)).source == verdict


@pytest.mark.parametrize(
    ("study", "why"),
    [
        ({"is_sample": True}, Why.SAMPLE),
        ({"purpose": "prior"}, Why.PRIOR),
        ({"state": "reopened"}, Why.REOPENED),
        ({"state": "claimed"}, Why.REOPENED),
        ({"in_conflict": True}, Why.CONFLICT),
    ],
)
def test_samples_priors_reopened_studies_and_conflicts_give_no_label(study: dict[str, Any], why: Why) -> None:
    assert label_of_review(a_study(signed(), **study), at=AT) is why


def test_a_signature_that_can_still_be_undone_gives_no_label() -> None:
    waiting = signed(final_at=AT + timedelta(seconds=1))
    assert label_of_review(a_study(waiting), at=AT) is Why.NOT_FINAL
    assert label_of_review(a_study(signed(), replace(waiting, id=uuid4())), at=AT) is Why.NOT_FINAL
    assert labelled(signed(final_at=AT)).label == "pneumonia"


def test_an_uncertain_finding_and_several_findings_give_no_label() -> None:
    assert label_of_review(a_study(signed("uncertain")), at=AT) is Why.UNCERTAIN
    both = signed(findings={"pneumonia": "present", "fracture": "present"})
    assert label_of_review(a_study(both), at=AT) is Why.SEVERAL
    one = signed(findings={"pneumonia": "absent", "fracture": "present"})
    assert labelled(one).label == "fracture"


def test_readers_who_disagree_give_no_label_until_one_adjudicates() -> None:
    lee, kim = signed("present"), signed("absent", by=KIM)
    assert label_of_review(a_study(lee, kim), at=AT) is Why.DISPUTED
    settled = signed("absent", by=ROY, is_adjudication=True, reviewer_name="dr.roy")
    found = labelled(lee, kim, settled)
    assert (found.label, found.source, found.review.reviewer_name) == ("NORMAL", "adjudicated", "dr.roy")


def test_an_adjudication_counts_above_a_later_verdict_that_agrees_and_not_above_one_that_does_not() -> None:
    settled = signed("present", by=ROY, is_adjudication=True)
    later = signed("present", by=KIM)
    assert labelled(signed("absent"), settled, later).source == "adjudicated"
    against = replace(later, findings={"pneumonia": "absent"})
    assert label_of_review(a_study(settled, against), at=AT) is Why.DISPUTED


def test_a_reader_who_amends_their_own_verdict_disagrees_with_nobody() -> None:
    found = labelled(signed("present"), signed("absent", verdict="corrected"))
    assert (found.label, found.source) == ("NORMAL", "corrected")


def test_a_blind_read_counts_above_assisted_ones_that_agree() -> None:
    found = labelled(signed(blind=True, verdict="read"), signed(by=KIM))
    assert (found.blind, found.source) == (True, "read")


def test_whoever_read_blind_and_amended_after_seeing_is_no_blind_reader() -> None:
    assert not labelled(signed(blind=True), signed()).blind


def test_verdicts_on_images_before_the_study_was_reopened_count_no_more() -> None:
    found = labelled(signed("present", by=KIM), signed("absent", image_ids=["1", "2"]))
    assert found.label == "NORMAL"
    old = signed("present", by=ROY, is_adjudication=True)
    assert labelled(old, signed("absent", image_ids=["1", "2"])).source == "confirmed"


def test_a_picture_that_came_again_with_another_header_is_the_same_image() -> None:
    replaced = {"1": "3", "3": "4"}
    seen_before, seen_since = signed("present", image_ids=["1", "2"]), {"image_ids": ["2", "4"]}
    against = a_study(seen_before, signed("absent", by=KIM, **seen_since), superseded_by=replaced)
    assert label_of_review(against, at=AT) is Why.DISPUTED
    settled = signed("present", by=ROY, is_adjudication=True, image_ids=["2", "3"])
    agreeing = a_study(seen_before, settled, signed("present", by=KIM, **seen_since), superseded_by=replaced)
    found = label_of_review(agreeing, at=AT)
    assert isinstance(found, ReviewLabel)
    assert (found.source, found.review) == ("adjudicated", settled)
    further = signed("absent", by=KIM, image_ids=["2", "4", "5"])
    found = label_of_review(a_study(seen_before, further, superseded_by=replaced), at=AT)
    assert isinstance(found, ReviewLabel)
    assert found.review == further


def test_each_reason_has_its_sentence() -> None:
    said = [told(why, 3) for why in Why]
    assert len(set(said)) == len(Why)
    assert all("left out" in sentence and sentence.endswith("3.") for sentence in said)
