"""Several pictures at once: both views of the study, and the two latest priors of the patient beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import AuditEvent, Review
from app.records.engine import transaction
from tests.browser.canvas import a_ramp, draw, greys, open_study, settle, state
from tests.browser.conftest import SignIn
from tests.browser.pages import stored
from tests.builders import a_dicom, a_screened_study, a_study_with_a_lateral, admit, an_admitted_study

CURRENT = {"patient_id": "P7", "tags": {"StudyDate": "20260301"}}


def a_study_with_priors(blobs: Blobs, **dicom: Any) -> tuple[Any, list[Any]]:
    """The study, and four others of the patient: of 2025, of 2024, of 2020, and one that was taken later."""
    others = [
        an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": day})
        for day in ("20240105", "20250607", "20200101", "20260401")
    ]
    return a_screened_study(blobs, **CURRENT, **dicom), [others[1], others[0], others[2], others[3]]


def press_layout(page: Any, panes: int) -> None:
    page.keyboard.press("v")
    page.wait_for_function(
        f"() => document.querySelectorAll('.pane').length === {panes}"
        " && [...document.querySelectorAll('.pane')].every((pane) => pane.dataset.state === 'full')"
    )
    settle(page)


def test_both_views_of_a_study_stand_together(signed_in: SignIn, blobs: Blobs) -> None:
    frontal, lateral = a_study_with_a_lateral(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), frontal.study_id)
    assert page.locator(".pane-head").is_hidden()
    press_layout(page, 2)
    assert page.locator("[data-layout]").inner_text() == "Both views"
    shown = [pane.get_attribute("data-painted") for pane in page.locator(".pane").all()]
    assert shown == [str(frontal.image_id), str(lateral.image_id)]
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.pane[data-state=full]').length === 2")
    page.keyboard.press("v")
    assert page.locator(".pane").count() == 1


def test_views_and_priors_stay_chosen_where_a_study_has_only_one_of_the_two(
    signed_in: SignIn, blobs: Blobs
) -> None:
    views, _ = a_study_with_a_lateral(blobs)
    lateral = {"study_instance_uid": "2.25.7", "patient_id": "P7"}
    study, (newer, older, *_) = a_study_with_priors(blobs, study_instance_uid="2.25.7")
    with transaction() as session:
        admit(session, blobs, a_dicom(**lateral, tags={"ViewPosition": "LL", "StudyDate": "20260301"}))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    for panes in (2, 3, 4):
        press_layout(page, panes)
    assert page.locator("[data-layout]").inner_text() == "Views and priors"
    page.goto(f"/studies/{newer.study_id}")  # one view; of the patient's two earlier studies
    page.wait_for_function("() => document.querySelectorAll('.pane[data-state=full]').length === 3")
    assert page.locator("[data-layout]").inner_text() == "With priors"
    shown = [pane.get_attribute("data-painted") for pane in page.locator(".pane.prior").all()]
    assert shown[0] == str(older.image_id)
    page.goto(f"/studies/{views.study_id}")
    page.wait_for_function("() => document.querySelectorAll('.pane[data-state=full]').length === 2")
    assert page.locator("[data-layout]").inner_text() == "Both views"
    page.goto(f"/studies/{study.study_id}")
    page.wait_for_function("() => document.querySelectorAll('.pane[data-state=full]').length === 4")


def test_the_two_latest_priors_stand_beside_the_study_and_say_that_they_are_priors(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study, (newer, older, *_) = a_study_with_priors(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    press_layout(page, 3)
    heads = page.locator(".pane-head").all_inner_texts()
    assert heads[0] == "Current · 1 Mar 2026"
    assert heads[1].startswith("◀ PRIOR · 7 Jun 2025")
    assert heads[2].startswith("◀ PRIOR · 5 Jan 2024")
    shown = [pane.get_attribute("data-painted") for pane in page.locator(".pane.prior").all()]
    assert shown == [str(newer.image_id), str(older.image_id)]
    assert "7 Jun 2025" in page.locator(".pane.prior [data-overlay=topRight]").first.inner_text()
    assert page.locator(".pane.prior canvas").first.get_attribute("aria-label").startswith("Prior radiograph")


def test_a_picture_with_a_corrected_header_is_one_view_and_one_prior(signed_in: SignIn, blobs: Blobs) -> None:
    same = {"seed": 7, "study_instance_uid": "2.25.7", "sop_instance_uid": "2.25.1", "patient_id": "P7"}
    day = {"StudyDate": "20250607"}
    with transaction() as session:
        wrong = admit(session, blobs, a_dicom(**same, tags=day))  # frontal, as the study it stands beside
        right = admit(session, blobs, a_dicom(**same, tags=day | {"ViewPosition": "LL"}))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), right.study_id)
    assert page.locator("button[data-image]").count() == 2
    assert page.locator('[data-do="layout"]').is_disabled(), "the same pixels are no second view"
    open_study(page, a_screened_study(blobs, **CURRENT).study_id)
    press_layout(page, 2)
    prior = page.locator(".pane.prior")
    assert prior.get_attribute("data-painted") == str(right.image_id)
    assert prior.locator("[data-not-read]").inner_text() == ""
    prior.locator("canvas").click()
    page.keyboard.press(".")
    page.wait_for_selector(f'.pane.prior[data-state=full][data-painted="{wrong.image_id}"]')
    assert prior.locator("[data-not-read]").inner_text().startswith("Superseded by a later version")


def test_a_prior_beside_a_study_is_on_record_as_a_view_of_it(signed_in: SignIn, blobs: Blobs) -> None:
    study, (newer, older, *_) = a_study_with_priors(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    viewed = [event.study_id for event in stored(AuditEvent) if event.action == "study.viewed"]
    assert viewed == [study.study_id], "nobody has seen a prior yet"
    press_layout(page, 3)
    views = [event for event in stored(AuditEvent) if event.action == "study.viewed"][1:]
    assert {(view.study_id, view.actor_name, view.details["via"]) for view in views} == {
        (newer.study_id, "alice", "comparison"),
        (older.study_id, "alice", "comparison"),
    }
    assert len(views) == 2


def test_windows_are_linked_and_can_be_unlinked(signed_in: SignIn, blobs: Blobs) -> None:
    study, _ = a_study_with_priors(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    press_layout(page, 3)

    def windows() -> list[str]:
        settle(page)
        return [pane.get_attribute("data-window") for pane in page.locator(".pane").all()]

    first = windows()
    draw(page, (0, 0), (0, 60))
    linked = windows()
    assert all(before != after for before, after in zip(first, linked, strict=True))
    page.keyboard.press("k")
    assert page.locator('[data-do="link"]').get_attribute("aria-pressed") == "false"
    draw(page, (0, 0), (0, 60))
    alone = windows()
    assert alone[0] != linked[0]
    assert alone[1:] == linked[1:]
    page.keyboard.press("k")
    page.select_option("select[data-presets]", label="Full range")
    assert all(before != after for before, after in zip(alone, windows(), strict=True))


def test_a_drag_down_darkens_every_linked_picture_whatever_its_polarity_and_whether_it_is_inverted(
    signed_in: SignIn, blobs: Blobs
) -> None:
    tags = {"WindowCenter": 2000, "WindowWidth": 4000, "PatientID": "P7"}
    with transaction() as session:
        admit(session, blobs, a_ramp(**tags, StudyDate="20250607"))
        study = admit(session, blobs, a_ramp(**tags, StudyDate="20260301", photometric="MONOCHROME1"))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    press_layout(page, 2)
    for inverted in (False, True):
        if inverted:
            page.keyboard.press("i")
        first = [greys(page, pane).mean() for pane in (0, 1)]
        draw(page, (0, 0), (0, 60))
        darker = [greys(page, pane).mean() for pane in (0, 1)]
        assert all(after < before - 5 for before, after in zip(first, darker, strict=True)), inverted
        draw(page, (0, 60), (0, 0))
        assert [greys(page, pane).mean() for pane in (0, 1)] == pytest.approx(first, abs=1)


def test_the_signing_key_signs_the_current_study_whichever_picture_is_in_use(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study, _ = a_study_with_priors(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    press_layout(page, 3)
    page.locator(".pane.prior canvas").first.click()
    assert page.locator(".pane.active.prior").count() == 1
    page.wait_for_timeout(600)
    page.keyboard.press("1")
    page.wait_for_url(f"**signed={study.study_id}")
    assert [review.study_id for review in stored(Review)] == [study.study_id]


def test_a_prior_on_the_screen_does_not_wake_the_signing_keys(signed_in: SignIn, blobs: Blobs) -> None:
    study, _ = a_study_with_priors(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    own = f"**/api/v1/images/{study.image_id}/**"
    page.route(own, lambda route: None)  # the study's own picture never comes
    page.goto(f"/studies/{study.study_id}")
    page.wait_for_selector("#viewer[data-state=loading]")
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=full]")
    page.wait_for_timeout(700)
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert stored(Review) == []
    assert state(page, "painted") == ""
    page.unroute_all(behavior="ignoreErrors")


def test_a_prior_that_fails_does_not_wake_the_buttons_that_sign(signed_in: SignIn, blobs: Blobs) -> None:
    study, (newer, *_) = a_study_with_priors(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.route(f"**/api/v1/images/{study.image_id}/**", lambda route: None)  # it is on its way
    page.route(f"**/api/v1/images/{newer.image_id}/**", lambda route: route.abort())
    page.goto(f"/studies/{study.study_id}")
    page.wait_for_selector("#viewer[data-state=loading]")
    page.keyboard.press("v")
    failed = page.locator(".pane.prior[data-state=failed]")
    failed.locator("canvas").click()
    page.wait_for_selector("#viewer[data-state=failed]")
    page.wait_for_timeout(700)
    page.locator("#confirm button").click(force=True)
    page.wait_for_timeout(200)
    assert page.locator("#confirm button").get_attribute("aria-disabled") == "true"
    assert stored(Review) == []
    page.unroute_all(behavior="ignoreErrors")


def test_a_prior_that_does_not_come_says_so_in_its_own_place(signed_in: SignIn, blobs: Blobs) -> None:
    study, _ = a_study_with_priors(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.route("**/studies/*/pictures", lambda route: route.abort())
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=failed]")
    assert "Change the layout" in page.locator(".pane.prior [data-loading]").first.inner_text()
    assert page.locator(".pane").first.get_attribute("data-state") == "full"


def test_a_study_alone_offers_no_layout(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_study(signed_in("alice", Role.RADIOLOGIST), a_screened_study(blobs).study_id)
    assert page.locator('[data-do="layout"]').is_disabled()
    page.keyboard.press("v")
    assert page.locator(".pane").count() == 1


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (3840, 2160), (820, 1180)])
def test_the_priors_fit_every_screen(signed_in: SignIn, blobs: Blobs, width: int, height: int) -> None:
    study, _ = a_study_with_priors(blobs, rows=1600, columns=1350)
    page = open_study(signed_in("alice", Role.RADIOLOGIST, width=width, height=height), study.study_id)
    press_layout(page, 3)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    boxes = [pane.bounding_box() for pane in page.locator(".pane canvas").all()]
    assert all(box["width"] >= 0.2 * width and box["height"] >= 0.2 * height for box in boxes)
    centres = np.array([(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes])
    assert len({tuple(centre) for centre in centres.round()}) == 3
