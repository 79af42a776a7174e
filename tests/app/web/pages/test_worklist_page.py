"""The worklist as a page."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import update
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import review, screening
from app.commands.intake import GivenMetadata
from app.commands.review import Statement
from app.domain.order import Credits, Lane, Priority
from app.domain.roles import Actor, Role, permissions_of
from app.domain.states import Outcome
from app.records import Session, Study, User
from app.records.base import now
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, post, words
from tests.builders import (
    a_bundle,
    a_dicom,
    a_png,
    a_screened_study,
    a_signed_study,
    admit,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
    sign,
)


def rows_of(page: str) -> list[str]:
    """The studies' texts in order."""
    listed = page.split("<tbody")[1].split("</tbody>", maxsplit=1)[0]
    return [words("<tr " + row.split("</tr>")[0]) for row in listed.split("<tr ")[1:] if "data-study=" in row]


def test_the_study_that_can_wait_least_stands_first_and_says_why(browser: Browser, blobs: Blobs) -> None:
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02, patient_id="OUT")
    a_screened_study(blobs, lane=Lane.ABSTAIN, probability=0.4, patient_id="MIDDLE")
    a_screened_study(blobs, lane=Lane.RULE_IN, probability=0.93, patient_id="IN")
    first, second, third = rows_of(get(browser("alice", Role.RADIOLOGIST), "/"))
    assert "IN · 3 y" in first
    assert "Pneumonia likely 0.93 Placed as if it had arrived 8 h earlier." in first
    assert "▲ Rule-in" in first
    assert "Pneumonia uncertain 0.40 Placed as if it had arrived 2 h earlier." in second
    assert "Pneumonia unlikely 0.02 Placed by its time of arrival." in third


def test_a_study_the_network_has_not_read_is_marked_with_the_reason(browser: Browser, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as session:
        a_bundle(session)
        [study] = claimed(session)
        reason = "The patient is 62 years; this network knows patients from 1 year to under 6 years of age."
        record(session, study, image_read(admission.image_id, outcome=Outcome.WITHHELD, reason=reason))
    page = get(browser("alice", Role.RADIOLOGIST), "/")
    [row] = rows_of(page)
    assert f"Not read by the network. {reason}" in row
    assert 'data-lane="unread"' in page
    assert "1 unsigned, 1 of them not read by the network" in words(page)


def test_why_the_network_has_not_read_is_told_apart_from_why_a_study_is_open_again(
    browser: Browser, blobs: Blobs
) -> None:
    lateral = {"outcome": Outcome.WITHHELD, "reason": "This is a lateral view."}
    of_study = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.95", "patient_id": "P95"}
    study_id = an_admitted_study(blobs, **of_study).study_id

    def withhold() -> None:
        with transaction() as session:
            [study] = claimed(session)
            record(session, study, *(image_read(image.image_id, **lateral) for image in study.images))

    with transaction() as session:
        a_bundle(session)
    withhold()
    alice = browser("alice", Role.RADIOLOGIST)
    sign(study_id, say=Statement.ABSENT, ago=timedelta(0))
    [done] = rows_of(get(alice, "/?section=done"))
    assert "Not read by the network. This is a lateral view." in done
    an_admitted_study(blobs, **of_study)
    withhold()
    for _ in range(2):
        [row] = rows_of(get(alice, "/"))
        assert "Not read by the network. This is a lateral view." in row
        post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))


def test_a_row_says_why_a_study_that_is_ruled_out_stands_before_its_arrival(
    browser: Browser, blobs: Blobs
) -> None:
    of_study = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.96", "patient_id": "P96"}

    def read_as(lane: Lane, probability: float) -> None:
        with transaction() as session:
            [study] = claimed(session)
            read = (image_read(each.image_id, lane=lane, probability=probability) for each in study.images)
            record(session, study, *read)

    with transaction() as session:
        a_bundle(session)
    an_admitted_study(blobs, **of_study)
    alice = browser("alice", Role.RADIOLOGIST)
    read_as(Lane.RULE_OUT, 0.02)
    [row] = rows_of(get(alice, "/"))
    assert "Pneumonia unlikely 0.02 Placed by its time of arrival." in row
    an_admitted_study(blobs, **of_study)
    [row] = rows_of(get(alice, "/"))
    assert "An image of it waits to be read. Placed as if it had arrived 8 h earlier." in row
    read_as(Lane.RULE_IN, 0.93)
    [row] = rows_of(get(alice, "/"))
    assert "Pneumonia likely 0.93 Placed as if it had arrived 8 h earlier." in row
    an_admitted_study(blobs, **of_study)
    read_as(Lane.RULE_OUT, 0.02)
    [row] = rows_of(get(alice, "/"))
    assert "An earlier reading placed it there. Placed as if it had arrived 8 h earlier." in row


def test_a_study_that_is_tried_again_no_longer_shows_why_it_failed(browser: Browser, blobs: Blobs) -> None:
    study_id = an_admitted_study(blobs).study_id
    pages = ("/", f"/studies/{study_id}")
    alice = browser("alice", Role.RADIOLOGIST)
    with transaction() as session:
        [job] = claimed(session)
        screening.postpone(
            session,
            study=job,
            error="The decoder ended.",
            attempts=1,
            backoff=timedelta(seconds=1),
            credits=Credits(),
        )
    for address in pages:
        assert "The decoder ended." in words(get(alice, address))
    with transaction() as session:
        assert screening.retry(session, study_id=study_id)
    for address in pages:
        page = words(get(alice, address))
        assert "Waiting for the network" in page
        assert "The decoder ended." not in page
        assert "failed" not in page


def test_age_unknown_stat_and_sample_are_marked_in_the_row(browser: Browser, blobs: Blobs) -> None:
    with transaction() as session:
        admission = admit(session, blobs, a_png(), given=GivenMetadata(priority=Priority.STAT))
        session.execute(update(Study).where(Study.id == admission.study_id).values(is_sample=True))
    [row] = rows_of(get(browser("alice", Role.RADIOLOGIST), "/"))
    assert "age unknown" in row
    assert "STAT" in row
    assert "sample" in row


def test_a_held_study_names_its_holder_and_until_when(browser: Browser, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    _claim(admission.study_id, "alice")
    assert "Held by you until" in rows_of(get(alice, "/"))[0]
    assert "Held by alice until" in rows_of(get(bob, "/"))[0]


def test_markup_in_a_name_shows_as_text(browser: Browser, blobs: Blobs) -> None:
    an_admitted_study(blobs, tags={"PatientName": "<img src onerror>^Jane"})
    page = get(browser("alice", Role.RADIOLOGIST), "/")
    assert "<img" not in page
    assert "Jane" in page and "&lt;img src onerror&gt;" in page


def test_fifty_studies_a_page_and_the_rest_on_the_next(browser: Browser, session, blobs: Blobs) -> None:
    template = an_admitted_study(blobs, patient_id="P0")
    study = session.get_one(Study, template.study_id)
    shared = {
        column.key: getattr(study, column.key)
        for column in Study.__table__.columns
        if column.key not in ("id", "study_instance_uid")
    }
    session.add_all(
        Study(
            id=uuid4(),
            study_instance_uid=f"1.2.{number}",
            **shared | {"rank_at": study.rank_at + timedelta(seconds=number), "arrived_at": now()},
        )
        for number in range(1, 60)
    )
    session.commit()
    alice = browser("alice", Role.RADIOLOGIST)
    first = get(alice, "/")
    assert len(rows_of(first)) == 50
    address = first.split('rel="next" href="')[1].split('"')[0]
    second = get(alice, address)
    assert len(rows_of(second)) == 10
    assert 'rel="next"' not in second
    assert 'href="/">First page' in second


def test_a_cursor_that_is_none_of_ours_is_refused_in_words(browser: Browser) -> None:
    answer = browser("alice", Role.RADIOLOGIST).get("/?cursor=nonsense", headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "Begin again without a cursor." in answer.text


def test_the_page_says_when_screening_has_stalled(browser: Browser, session, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    assert 'id="stalled" class="note warn" role="alert" hidden' in get(alice, "/")
    early = now() - timedelta(minutes=20)
    session.execute(
        update(Study).where(Study.id == admission.study_id).values(arrived_at=early, rank_at=early)
    )
    session.commit()
    page = get(alice, "/")
    assert "Screening has stalled. The oldest study has waited 20 min for the network." in words(page)
    assert 'role="alert" hidden' not in page


def test_an_empty_worklist_says_how_to_send_the_first_study(browser: Browser) -> None:
    page = words(get(browser("alice", Role.RADIOLOGIST), "/"))
    assert "Nothing waits to be read." in page
    assert "http://firstread.test/api/v1/studies" in page
    assert "http://firstread.test/dicomweb/studies" in page
    assert 'firstread send --url http://firstread.test --key "$KEY" --phantoms 3' in page


def test_live_rows_are_asked_for_by_id_and_unknown_ids_left_out(browser: Browser, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    answer = alice.get("/worklist/rows", params={"id": [str(admission.study_id), str(uuid4())]}).json()
    [row] = answer["rows"].values()
    assert row["open"] is True
    assert row["html"].startswith(f'<tr id="s-{admission.study_id}"')
    assert answer["unsigned"] == 1
    _sign(admission.study_id, "alice")
    [row] = alice.get("/worklist/rows", params={"id": str(admission.study_id)}).json()["rows"].values()
    assert row["open"] is False
    assert "Signed" in words(row["html"])


def test_a_signed_study_tells_how_long_it_waited_and_waits_no_longer(browser: Browser, blobs: Blobs) -> None:
    signed, amended = (a_signed_study(blobs, patient_id="P1") for _ in range(2))
    with transaction() as session:
        given = GivenMetadata(purpose="prior")
        prior = admit(session, blobs, a_dicom(patient_id="P1"), given=given).study_id
        came = now() - timedelta(hours=12, minutes=5)
        session.execute(update(Study).values(arrived_at=came, rank_at=came))
        signed_at = came + timedelta(hours=9, minutes=5)
        session.execute(update(Study).where(Study.state == "signed").values(signed_at=signed_at))
    sign(amended, say=Statement.ABSENT, ago=timedelta(0))
    alice = browser("alice", Role.RADIOLOGIST)
    live = alice.get("/worklist/rows", params={"id": [str(signed), str(amended), str(prior)]}).json()["rows"]
    found = post(alice, "/worklist/search", get(alice, "/"), text="P1").text
    for study_id in (signed, amended, prior):
        row = live[str(study_id)]["html"]
        assert "data-wait" not in row and "data-age" not in row
        assert ("9 h 05 until it was signed" in words(row)) == (study_id == signed)
        assert "12 h" not in words(row)
    assert "9 h 05 until it was signed" in words(found)
    assert "data-wait" not in found and "data-age" not in found


def test_renewing_an_open_page_keeps_no_session_alive(client: TestClient, browser: Browser, session) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    early = now() - timedelta(minutes=5)
    session.execute(update(Session).values(last_seen_at=early))
    session.commit()
    get(alice, "/worklist/page")
    session.expire_all()
    assert session.query(Session).one().last_seen_at == early
    get(alice, "/")
    session.expire_all()
    assert session.query(Session).one().last_seen_at > early


def _claim(study_id, name: str) -> None:
    with transaction() as session:
        review.claim(session, study_id=study_id, by=_actor(session, name), minutes=15)


def _sign(study_id, name: str) -> None:
    revision = revision_of(study_id)
    with transaction() as session:
        review.sign(
            session, study_id=study_id, by=_actor(session, name), revision=revision, confirm=True, findings={}
        )


def _actor(session, name: str) -> Actor:
    user = session.query(User).filter_by(username=name).one()
    return Actor(kind="user", id=user.id, name=name, permissions=permissions_of([Role.RADIOLOGIST]))
