"""A confirmation signs what its button names and nothing else: what is filled in beside it is never lost."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.roles import Role
from app.records import Draft, Review, SecondOpinion
from app.records.engine import transaction
from tests.browser.canvas import draw
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_dicom, a_screened_study, a_signed_study, admit, claimed, image_read, record
from tests.served import eventually

COMMENT = "Round opacity behind the heart."
_UID = "2.25.4712"


def refuses_to_confirm(page: Any) -> None:
    """The page says that nothing was signed, with the correction open."""
    page.wait_for_selector("#not-confirmed:visible")
    assert page.locator("#correction").get_attribute("open") is not None
    page.wait_for_timeout(300)
    assert stored(Review) == []


def leave_the_field(page: Any) -> None:
    page.evaluate("() => document.activeElement.blur()")


def test_one_signs_nothing_over_another_answer_and_its_comment(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.fill("#comment", COMMENT)
    leave_the_field(page)
    page.keyboard.press("1")
    refuses_to_confirm(page)
    page.keyboard.press("1")
    refuses_to_confirm(page)
    assert page.input_value("#comment") == COMMENT
    assert page.locator('input[value="absent"]').is_checked()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    [review] = stored(Review)
    assert (review.findings, review.comment) == ({"pneumonia": "absent"}, COMMENT)


def test_the_button_signs_nothing_over_a_comment_beside_a_mark_and_confirms_once_it_is_cleared(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    page.fill("#comment", COMMENT)
    page.click("#confirm button")
    refuses_to_confirm(page)
    assert page.input_value("#comment") == COMMENT
    page.fill("#comment", "")
    assert page.locator("#not-confirmed").is_hidden()
    page.click("#confirm button")
    page.wait_for_url("**/?signed=*")
    [review] = stored(Review)
    assert (review.verdict, review.comment, len(review.marks)) == ("confirmed", "", 1)


def test_one_signs_nothing_over_a_draft_that_was_filled_in_again(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("2")
    page.fill("#comment", COMMENT)
    eventually(lambda: [draft.comment for draft in stored(Draft)] == [COMMENT], seconds=10)
    open_painted(page, study)
    page.wait_for_selector("#restored:visible")
    page.keyboard.press("1")
    refuses_to_confirm(page)
    assert page.input_value("#comment") == COMMENT
    assert [draft.comment for draft in stored(Draft)] == [COMMENT]


def test_one_waits_for_a_draft_that_is_on_its_way(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    first = signed_in("alice", Role.RADIOLOGIST)
    open_painted(first, study)
    first.keyboard.press("2")
    first.fill("#comment", COMMENT)
    eventually(lambda: [draft.comment for draft in stored(Draft)] == [COMMENT], seconds=10)
    page = first.context.new_page()  # another tab: it knows of no draft by itself
    held: list[Any] = []
    page.route("**/studies/*/draft", lambda route: held.append(route), times=1)  # noqa: PLW0108  (it must be a function)
    open_painted(page, study)
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert stored(Review) == []
    held[0].continue_()
    refuses_to_confirm(page)
    assert page.input_value("#comment") == COMMENT


def a_reopened_study(blobs: Blobs) -> UUID:
    """Signed as without the finding, and then a new image came, in which the network sees it."""
    study = a_signed_study(blobs, say=Statement.ABSENT, study_instance_uid=_UID, patient_id="Ada")
    with transaction() as session:
        admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    with transaction() as session:
        [job] = claimed(session)
        record(session, job, *(image_read(image.image_id) for image in job.images))
    return study


def test_one_confirms_a_reopened_study_though_the_verdict_of_before_said_otherwise(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_reopened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    assert page.locator('input[value="absent"]').is_checked(), "it begins with what stands"
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    assert [review.findings["pneumonia"] for review in stored(Review)] == ["absent", "present"]


def test_what_was_said_before_is_an_answer_once_the_correction_is_open(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_reopened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("2")
    page.keyboard.press("1")
    page.wait_for_selector("#not-confirmed:visible")
    assert len(stored(Review)) == 1


@pytest.mark.parametrize("answer", ["present", "absent"])
def test_without_scripts_a_confirmation_carries_the_comment_and_never_contradicts_an_answer(
    chromium: Any, server: str, signed_in: SignIn, blobs: Blobs, answer: str
) -> None:
    study = a_screened_study(blobs).study_id
    scripted = signed_in("alice", Role.RADIOLOGIST)
    plain = chromium.new_context(
        java_script_enabled=False, base_url=server, storage_state=scripted.context.storage_state()
    )
    page = plain.new_page()
    page.goto(f"/studies/{study}")
    page.focus("#correction summary")
    page.keyboard.press("Enter")
    page.check(f'input[value="{answer}"]', force=True)
    page.fill("#comment", COMMENT)
    page.click("#confirm button")
    if answer == "present":
        page.wait_for_url("**/?signed=*")
        [review] = stored(Review)
        assert (review.verdict, review.comment) == ("confirmed", COMMENT)
    else:
        page.wait_for_selector("[data-refilled] >> text=send a correction instead")
        assert stored(Review) == []
        assert page.input_value("#comment") == COMMENT
        assert page.locator('input[value="absent"]').is_checked()
        page.focus('input[value="absent"]')
        page.keyboard.press("Enter")  # in an answer: the correction's own button
        page.wait_for_url("**/?signed=*")
        assert [(said.findings, said.comment) for said in stored(Review)] == [
            ({"pneumonia": "absent"}, COMMENT)
        ]
    plain.close()


def test_ctrl_enter_in_a_question_asks_and_in_no_other_form_signs(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    signed_in("bob", Role.RADIOLOGIST)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.focus("#confirm button")
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(300)
    assert stored(Review) == []
    page.click("#ask summary")
    page.fill("#question", "Left lower lobe?")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=not answered yet")
    assert stored(Review) == []
    assert [asked.question for asked in stored(SecondOpinion)] == ["Left lower lobe?"]


def test_a_button_that_signs_sleeps_before_the_scripts_that_wake_it_have_come(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    held: list[Any] = []
    page.route("**/viewer/viewer*.js*", lambda route: held.append(route))  # noqa: PLW0108  (playwright marks the handler)
    page.goto(f"/studies/{study}", wait_until="commit")
    button = page.locator("#confirm button")
    button.wait_for()
    assert button.get_attribute("aria-disabled") == "true"
    button.click(force=True)
    page.wait_for_timeout(300)
    assert stored(Review) == []
    held[0].continue_()
    button.click()  # once it is awake
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_a_page_that_is_gone_back_to_signs_once_it_has_been_on_the_screen_again(
    signed_in: SignIn, blobs: Blobs
) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, a_screened_study(blobs).study_id)
    # As a browser that keeps pages does; the one that runs the tests keeps none.
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    button = page.locator("#confirm button")
    assert button.get_attribute("aria-disabled") == "true"
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert stored(Review) == []
    page.wait_for_selector("#confirm button:not([aria-disabled])")
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_a_preview_whose_full_depth_never_came_is_signed_by_the_button_and_by_no_key(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    page.route("**/pixels", lambda route: route.abort())
    page.goto(f"/studies/{study}")
    page.wait_for_selector("#viewer[data-main=preview-only]")
    page.wait_for_selector("#confirm button:not([aria-disabled])")
    page.wait_for_timeout(700)
    page.keyboard.press("1")
    page.wait_for_timeout(500)
    assert stored(Review) == []
    page.click("#confirm button")
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1
