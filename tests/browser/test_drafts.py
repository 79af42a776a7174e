"""What is filled in and not signed outlives tab, browser and session, and is shown to nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text, update

from app.blobs import Blobs
from app.commands import preferences
from app.domain.roles import Role
from app.records import Draft, Review, Session
from app.records.engine import transaction
from tests.browser.canvas import draw, settle
from tests.browser.conftest import SignIn, Watch, serving
from tests.browser.pages import drafts_kept, open_painted, stored
from tests.builders import PASSWORD, a_screened_study, a_user
from tests.served import eventually

COMMENT = "Seen with the mother; motion."
_DRAFT = "**/studies/*/draft"
Elsewhere = Callable[[str], Any]


@pytest.fixture
def elsewhere(chromium: Any, server: str, watch: Watch) -> Iterator[Elsewhere]:
    """`elsewhere("alice")`: a page of another browser, in which she is signed in too."""
    contexts = []

    def sign_in(name: str) -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=server)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watch.attach(page)
        page.goto("/sign-in")
        sign_in_again(page, name)
        page.wait_for_url("**/")
        return page

    yield sign_in
    for context in contexts:
        context.close()


def sign_in_again(page: Any, name: str) -> None:
    page.fill("#username", name)
    page.fill("#password", PASSWORD)
    page.click("button.main")


def slowly(route: Any) -> None:
    """The answer takes longer than what lies between two changes of a draft."""
    answer = route.fetch()
    time.sleep(3)
    route.fulfill(response=answer)


def comments() -> list[str]:
    return [draft.comment for draft in stored(Draft)]


def write(page: Any, study_id: Any, comment: str = COMMENT) -> None:
    """A correction is filled in, and the server keeps it."""
    open_painted(page, study_id)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.fill("#comment", comment)
    eventually(lambda: comment in comments(), seconds=10)


def opened(page: Any, study_id: Any) -> Any:
    """The page of the study, which knows what the server keeps."""
    with page.expect_response(_DRAFT):
        page.goto(f"/studies/{study_id}")
    page.wait_for_selector("#viewer[data-state=full]")
    return page


def test_what_was_filled_in_is_there_in_another_browser_once_the_first_is_gone(
    signed_in: SignIn, elsewhere: Elsewhere, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("a")
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    settle(page)
    marks = page.input_value("#correct input[data-marks]")
    page.fill("#comment", COMMENT)
    eventually(lambda: COMMENT in comments(), seconds=10)
    page.context.close()
    again = opened(elsewhere("alice"), study)
    again.wait_for_selector("#restored:visible")
    assert "it is not signed" in again.inner_text("#restored")
    assert "has changed" not in again.inner_text("#restored")
    assert again.input_value("#comment") == COMMENT
    assert again.locator('input[value="present"]').is_checked()
    settle(again)
    assert again.input_value("#correct input[data-marks]") == marks
    assert again.locator(".shape.box").count() == 1
    again.click("#correct button[data-signs]")
    again.wait_for_url(f"**/?signed={study}")
    [review] = stored(Review)
    assert (review.comment, review.findings, len(review.marks)) == (COMMENT, {"pneumonia": "present"}, 1)
    assert stored(Draft) == []


def test_a_session_that_ends_costs_no_word_in_any_browser(
    signed_in: SignIn, elsewhere: Elsewhere, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    write(page, study)
    with transaction() as session:
        session.execute(update(Session).values(ended_at=datetime.now(UTC)))
    page.fill("#comment", f"{COMMENT} And more.")
    page.wait_for_selector("#ended:visible")
    other = opened(elsewhere("alice"), study)
    other.wait_for_selector("#restored:visible")
    assert other.input_value("#comment") == COMMENT, "what was kept before"
    page.route(_DRAFT, slowly, times=1)
    page.click("#ended a")
    with page.expect_response(_DRAFT):
        sign_in_again(page, "alice")
    page.wait_for_selector("#restored:visible")
    assert page.input_value("#comment") == f"{COMMENT} And more.", "the tab's copy is newer"
    eventually(lambda: comments() == [f"{COMMENT} And more."], seconds=10)


def test_a_signature_clears_the_draft_in_every_tab(
    signed_in: SignIn, elsewhere: Elsewhere, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page, other = signed_in("alice", Role.RADIOLOGIST), None
    write(page, study)
    other = opened(elsewhere("alice"), study)
    other.wait_for_selector("#restored:visible")
    page.click("#correct button[data-signs]")
    page.wait_for_url(f"**/?signed={study}")
    assert stored(Draft) == []
    opened(other, study)
    assert other.locator("#restored").is_hidden()
    assert other.input_value("#comment") == ""
    assert drafts_kept(other) == []


def test_what_was_typed_last_is_sent_as_the_page_is_left_and_is_shown_to_nobody_else(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    opened(page, study)
    page.evaluate("() => { document.getElementById('correction').open = true; }")
    page.fill("#comment", COMMENT)
    page.goto("/account")
    eventually(lambda: comments() == [COMMENT], seconds=10)
    page.click("form[action='/sign-out'] button")
    page.wait_for_url("**/sign-in")
    with transaction() as session:
        session.execute(text("UPDATE studies SET claim_expires_at = now() WHERE state = 'claimed'"))
    bob = opened(signed_in("bob", Role.RADIOLOGIST), study)
    assert bob.input_value("#comment") == ""
    assert bob.locator("#restored").is_hidden()
    bob.context.close()
    with transaction() as session:
        session.execute(text("UPDATE studies SET claim_expires_at = now() WHERE state = 'claimed'"))
    sign_in_again(page, "alice")
    page.wait_for_url("**/")
    opened(page, study).wait_for_selector("#restored:visible")
    assert page.input_value("#comment") == COMMENT


def test_the_longest_comment_in_chinese_is_sent_as_the_page_is_left(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    comment = "\n".join(["双肺纹理增粗，请结合临床！"] * 714)  # 9,995 characters
    page = signed_in("alice", Role.RADIOLOGIST)
    opened(page, study)
    page.evaluate("() => { document.getElementById('correction').open = true; }")
    page.evaluate("""() => {
      const fetched = window.fetch;
      window.fetch = (address, how) => {
        if (how?.method === "POST") sessionStorage.setItem("outlives its page", how.keepalive);
        return fetched(address, how);
      };
    }""")
    page.fill("#comment", comment)
    page.goto("/account")
    eventually(lambda: comments() == [comment], seconds=10)
    assert page.evaluate("() => sessionStorage.getItem('outlives its page')") == "true"


def test_a_draft_of_before_is_shown_with_what_has_changed_and_can_be_discarded(
    signed_in: SignIn, elsewhere: Elsewhere, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    write(page, study)
    page.locator("form[data-release] button").click()
    page.wait_for_url("**/")
    bob = signed_in("bob", Role.RADIOLOGIST)
    open_painted(bob, study)
    bob.keyboard.press("1")
    bob.wait_for_url("**/?signed=*")
    again = opened(elsewhere("alice"), study)
    again.wait_for_selector("#restored:visible")
    assert "The study has changed since you wrote it. bob signed at" in again.inner_text("#restored")
    assert again.input_value("#comment") == COMMENT
    assert again.locator('input[value="absent"]').is_checked()
    assert "bob" in again.inner_text(".history"), "what is signed stands as it was signed"
    assert [review.reviewer_name for review in stored(Review)] == ["bob"]
    again.click("[data-discard]")
    again.wait_for_selector("#restored", state="hidden")
    eventually(lambda: stored(Draft) == [], seconds=10)
    again.wait_for_selector("#viewer[data-state=full]")
    assert again.input_value("#comment") == ""
    assert again.locator('input[value="present"]').is_checked(), "an amendment begins with what stands"


def test_what_is_typed_before_the_draft_arrives_stands_beside_it(
    signed_in: SignIn, elsewhere: Elsewhere, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    write(signed_in("alice", Role.RADIOLOGIST), study)
    page = elsewhere("alice")
    held: list[Any] = []

    def hold(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route(_DRAFT, hold)
    open_painted(page, study)
    page.keyboard.press("2")
    page.keyboard.press("u")
    page.fill("#comment", "Typed at once.")
    page.wait_for_timeout(1200)
    assert comments() == [COMMENT], "nothing is sent before it is known what is kept"
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        held[0].continue_()
    assert page.input_value("#comment") == f"{COMMENT}\nTyped at once."
    assert page.locator('input[value="uncertain"]').is_checked()
    assert comments() == [f"{COMMENT}\nTyped at once."]


def test_what_the_server_could_not_be_told_is_in_the_tab_and_sent_when_it_can(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    write(page, study)
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('no connection')); }")
    page.fill("#comment", "Newer.")
    page.wait_for_timeout(1200)  # it was tried
    page.reload()
    page.wait_for_selector("#restored:visible")
    assert page.input_value("#comment") == "Newer."
    eventually(lambda: comments() == ["Newer."], seconds=10)


def test_looking_keeps_nothing_and_what_is_cleared_again_is_kept_no_longer(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    page.click("#correct button[data-signs]")
    page.wait_for_url("**/?signed=*")
    sent: list[str] = []

    def note(request: Any) -> None:
        if request.method == "POST":
            sent.append(request.url)

    page.on("request", note)
    open_painted(page, study)
    page.locator("[data-correct]").click()
    page.fill("#comment", COMMENT)
    eventually(lambda: comments() == [COMMENT], seconds=10)
    page.wait_for_timeout(0)
    assert [url.rpartition("/")[2] for url in sent].count("draft") == 1, "what stands is no draft"
    page.fill("#comment", "")
    eventually(lambda: comments() == [], seconds=10)
    page.reload()
    page.wait_for_selector("#viewer[data-state=full]")
    assert page.locator("#restored").is_hidden()


def test_a_server_that_starts_anew_in_the_middle_costs_no_word_and_no_signature(
    chromium: Any, database: str, broker: str, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    with transaction() as session:
        preferences.offer_guide(session, by=a_user(session, "alice", Role.RADIOLOGIST), offer=False)
    with serving() as address:
        context = chromium.new_context(base_url=address)
        page = context.new_page()
        page.goto("/sign-in")
        page.fill("#username", "alice")
        page.fill("#password", PASSWORD)
        page.click("button.main")
        page.wait_for_selector("#rows")
        open_painted(page, study)
        page.keyboard.press("2")
        page.keyboard.press("n")
        page.fill("#comment", "Before, ")
    page.locator("#comment").press_sequentially("and after.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#unsent:visible")
    with serving(int(address.rsplit(":", 1)[1])):
        page.wait_for_url("**/?signed=*", timeout=30_000)
        context.close()
    assert [(said.reviewer_name, said.comment) for said in stored(Review)] == [
        ("alice", "Before, and after.")
    ]
