"""The reading room driven by hand and keyboard: upload, live worklist, review, two readers at once."""

from __future__ import annotations

from app.blobs import Blobs
from app.domain.roles import Role
from app.domain.states import Outcome
from app.records import AuditEvent, Review
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import hold_nothing, open_painted, stored
from tests.builders import a_bundle, a_screened_study, an_admitted_study, claimed, image_read
from tests.builders import record as recorded


def test_one_confirms_signs_and_opens_the_next(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.press("1")
    page.wait_for_url(f"**/studies/{second.study_id}?signed={first.study_id}")
    assert "Signed:" in page.inner_text("#just-signed [role=status]")
    [review] = stored(Review)
    assert (review.verdict, review.study_id) == ("confirmed", first.study_id)


def test_signing_keys_sleep_until_the_image_has_been_seen(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.route("**/api/v1/images/**", lambda route: None)  # no picture comes
    page.goto(f"/studies/{admission.study_id}")
    page.wait_for_timeout(1000)
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert stored(Review) == []
    page.unroute_all(behavior="ignoreErrors")


def test_the_signing_key_is_off_where_the_network_has_read_nothing(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        a_bundle(session)
    admission = an_admitted_study(blobs)
    with transaction() as session:
        [study] = claimed(session)
        withheld = image_read(admission.image_id, outcome=Outcome.WITHHELD, reason="It is not a chest.")
        recorded(session, study, withheld)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.wait_for_selector("#content[data-seen]")
    page.keyboard.press("1")
    page.wait_for_timeout(400)
    assert stored(Review) == []
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    assert [review.verdict for review in stored(Review)] == ["read"]


def test_a_key_that_is_held_down_signs_one_study_and_none_after_it(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.down("1")
    page.wait_for_url(f"**/studies/{second.study_id}?signed={first.study_id}")
    page.wait_for_selector("#content[data-seen]")
    for _ in range(3):
        page.keyboard.down("1")  # still down: the browser says that it is a repeat
    page.wait_for_timeout(400)
    assert [review.study_id for review in stored(Review)] == [first.study_id]
    page.keyboard.up("1")
    page.keyboard.press("1")
    page.wait_for_url(f"**/?signed={second.study_id}")


def test_a_correction_an_amendment_and_the_whole_history(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs, probability=0.93)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("2")
    page.wait_for_selector("#correction[open]")
    page.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    page.keyboard.press("n")
    assert page.locator('input[value="absent"]').is_checked()
    page.fill("#comment", "Motion. <img src=x onerror=alert(1)>\n2nd line")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    page.click("text=Look at the signed study or amend it.")
    page.wait_for_selector(".history")
    assert "<img src=x onerror=alert(1)>\n2nd line" in page.inner_text(".history .comment")
    open_painted(page, admission.study_id)
    assert page.locator("#confirm").count() == 0
    page.keyboard.press("2")
    assert page.locator('input[value="absent"]').is_checked(), "an amendment begins with what stands"
    page.check('input[value="uncertain"]')
    page.fill("#comment", "On second thoughts.")
    page.click("text=Sign the amendment")
    page.wait_for_function("() => document.querySelectorAll('.history li').length === 2")
    newest, oldest = page.locator(".history li").all()
    assert "alice amended" in newest.inner_text()
    assert "Pneumonia: uncertain" in newest.inner_text()
    assert "corrected and signed" in oldest.inner_text()
    assert "The network had said: pneumonia likely (0.93)." in oldest.inner_text()
    assert [review.verdict for review in stored(Review)] == ["corrected", "corrected"]


def test_two_readers_at_once_the_second_is_told_and_keeps_the_draft(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    for page in (alice, bob):
        hold_nothing(page)
    open_painted(alice, admission.study_id)
    open_painted(bob, admission.study_id)
    bob.wait_for_timeout(300)
    bob.route("**/claim", lambda route: route.abort())
    bob.evaluate("() => { document.getElementById('correction').open = true; }")
    bob.click("#correction label:has-text('Absent')")
    bob.fill("#comment", "I see nothing.")
    alice.keyboard.press("2")
    bob.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by alice')")
    alice.keyboard.press("y")
    alice.keyboard.press("Control+Enter")
    alice.wait_for_url("**/?signed=*")
    bob.wait_for_selector("#changed:visible")
    assert "The study has been signed since you opened it." in bob.inner_text("#changed")
    bob.locator("#correct button[data-signs]").click()
    bob.wait_for_selector(".act [role=alert] >> text=nothing was signed")
    assert "alice signed at" in bob.inner_text("section.act")
    assert bob.input_value("#comment") == "I see nothing."
    assert bob.locator('input[value="absent"]').is_checked()
    assert [review.reviewer_name for review in stored(Review)] == ["alice"]


def test_a_button_pressed_twice_signs_once(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.dblclick("#confirm button")
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_a_click_signs_nothing_until_the_image_has_been_seen(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.add_init_script(
        "addEventListener('radiograph-painted', () => { window.paintedAt ??= performance.now(); }, true);"
    )
    page.goto(f"/studies/{admission.study_id}", wait_until="commit")
    page.wait_for_function("() => document.querySelector('#confirm button')")
    clicked = page.evaluate("""() => new Promise((done) => {
      let last = null;
      const again = () => {
        document.querySelector("#confirm button").click();
        if (document.getElementById("confirm").dataset.sent !== undefined) return done(last);
        if (window.paintedAt) last = performance.now() - window.paintedAt;
        setTimeout(again, 10);
      };
      again();
    })""")
    assert clicked >= 450, "the last click that signed nothing"
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_where_no_image_can_be_shown_the_button_signs_once_that_is_plain(
    signed_in: SignIn, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.route("**/api/v1/images/**", lambda route: route.abort())
    page.goto(f"/studies/{admission.study_id}")
    page.wait_for_selector("#viewer[data-state=failed]")
    page.wait_for_timeout(700)
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert stored(Review) == [], "no key signs what was never on the screen"
    page.locator("#confirm button").click()
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_a_study_open_while_the_network_reads_it_renews_itself(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        a_bundle(session)
    admission = an_admitted_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.goto(f"/studies/{admission.study_id}")
    assert "Not yet read by the network." in page.inner_text(".words")
    page.wait_for_selector("#viewer[data-state=full]")
    with transaction() as session:
        [study] = claimed(session)
        recorded(session, study, image_read(admission.image_id, probability=0.93))
    page.wait_for_selector("#confirm")
    assert "Pneumonia likely" in page.inner_text(".words")


def test_a_view_is_audited_once_however_many_pictures_are_fetched(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    assert [event.actor_name for event in stored(AuditEvent) if event.action == "study.viewed"] == ["alice"]
