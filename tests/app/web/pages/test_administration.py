"""People, keys, destinations, conflicts, the audit trail, the network and the status, as pages."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM, Role
from app.domain.states import Outcome
from app.records import ApiKey, AuditEvent, Delivery, IdentityConflict, Study, User
from app.records.base import now
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, post, words
from tests.builders import (
    PASSWORD,
    a_bundle,
    a_screened_study,
    an_admitted_study,
    claimed,
    image_read,
    record,
)


def secret_in(page: str) -> str:
    return re.search(r'class="secret">([^<]+)<', page).group(1)


def test_a_new_person_comes_in_with_the_password_that_was_shown_once(browser: Browser, client) -> None:
    admin = browser("root", Role.ADMINISTRATOR)
    page = get(admin, "/people")
    made = post(
        admin,
        "/people/users",
        page,
        username="Carol",
        display_name="Carol C",
        roles=["radiologist", "auditor"],
    )
    one_time = secret_in(made.text)
    assert one_time not in get(admin, "/people")
    came = client.post("/sign-in", data={"username": "carol", "password": one_time}, follow_redirects=False)
    assert came.headers["location"] == "/password"
    again = post(admin, "/people/users", page, username="carol", roles=["auditor"])
    assert again.status_code == 409
    assert "There is a user carol already." in again.text


def test_roles_are_set_and_the_last_administrator_stays(browser: Browser, session) -> None:
    admin = browser("root", Role.ADMINISTRATOR)
    browser("dave", Role.RADIOLOGIST)
    page = get(admin, "/people")
    ids = dict(session.execute(select(User.username, User.id)).all())
    post(admin, f"/people/users/{ids['dave']}/roles", page, roles=["auditor", "operator"])
    assert sorted(session.scalars(select(User).where(User.username == "dave")).one().roles) == [
        "auditor",
        "operator",
    ]
    refused = post(admin, f"/people/users/{ids['root']}/roles", page, roles=["auditor"])
    assert refused.status_code == 409
    assert "last administrator" in refused.text
    assert post(admin, f"/people/users/{ids['dave']}/roles", page).status_code == 422
    assert post(admin, f"/people/users/{ids['dave']}/roles", page, roles=["emperor"]).status_code == 422


def test_a_disabled_person_is_out_at_once(browser: Browser, session) -> None:
    admin, dave = browser("root", Role.ADMINISTRATOR), browser("dave", Role.RADIOLOGIST)
    assert dave.get("/", headers=ACCEPT).url.path == "/"
    id_ = session.scalars(select(User.id).where(User.username == "dave")).one()
    post(admin, f"/people/users/{id_}/disable", get(admin, "/people"))
    assert dave.get("/", headers=ACCEPT).url.path == "/sign-in"
    assert "disabled" in words(get(admin, "/people"))


def test_a_person_who_is_let_in_again_comes_with_a_new_password(browser: Browser, client, session) -> None:
    admin, dave = browser("root", Role.ADMINISTRATOR), browser("dave", Role.RADIOLOGIST)
    id_ = session.scalars(select(User.id).where(User.username == "dave")).one()
    early = post(admin, f"/people/users/{id_}/enable", get(admin, "/people"))
    assert early.status_code == 409
    assert "dave is not disabled" in early.text
    post(admin, f"/people/users/{id_}/disable", get(admin, "/people"))
    made = post(admin, f"/people/users/{id_}/enable", get(admin, "/people"))
    assert dave.get("/", headers=ACCEPT).url.path == "/sign-in", "the sessions of before have ended"
    old = client.post("/sign-in", data={"username": "dave", "password": PASSWORD})
    assert old.status_code == 401
    new = client.post(
        "/sign-in", data={"username": "dave", "password": secret_in(made.text)}, follow_redirects=False
    )
    assert new.headers["location"] == "/password"
    told = session.scalars(select(AuditEvent.action).where(AuditEvent.subject_id == str(id_))).all()
    assert "user.enabled" in told


def test_a_reset_password_replaces_the_old_one(browser: Browser, client, session) -> None:
    admin = browser("root", Role.ADMINISTRATOR)
    browser("dave", Role.RADIOLOGIST)
    id_ = session.scalars(select(User.id).where(User.username == "dave")).one()
    made = post(admin, f"/people/users/{id_}/password", get(admin, "/people"))
    old = client.post("/sign-in", data={"username": "dave", "password": PASSWORD})
    assert old.status_code == 401
    new = client.post(
        "/sign-in", data={"username": "dave", "password": secret_in(made.text)}, follow_redirects=False
    )
    assert new.headers["location"] == "/password"


def test_a_key_is_shown_once_opens_its_scopes_and_can_be_revoked(browser: Browser, client, session) -> None:
    admin = browser("root", Role.ADMINISTRATOR)
    page = get(admin, "/people")
    made = post(admin, "/people/keys", page, name="ct 1", scopes=["read"], days="30")
    key = secret_in(made.text)
    bearer = {"Authorization": f"Bearer {key}"}
    assert client.get("/api/v1/worklist", headers=bearer).status_code == 200
    record = session.scalars(select(ApiKey)).one()
    assert now() + timedelta(days=29) < record.expires_at < now() + timedelta(days=31)
    assert key not in get(admin, "/people")
    post(admin, f"/people/keys/{record.id}/revoke", page)
    assert client.get("/api/v1/worklist", headers=bearer).status_code == 401


@pytest.mark.parametrize("days", ["0", "4000", "-1", "soon"])
def test_a_key_needs_a_sensible_end(browser: Browser, session, days: str) -> None:
    admin = browser("root", Role.ADMINISTRATOR)
    answer = post(admin, "/people/keys", get(admin, "/people"), name="x", scopes=["read"], days=days)
    assert answer.status_code in (400, 422)
    assert session.scalars(select(ApiKey)).all() == []


def test_a_destination_gets_results_and_a_dead_letter_is_sent_again(
    browser: Browser, session, blobs: Blobs
) -> None:
    ivan = browser("ivan", Role.INTEGRATOR)
    page = get(ivan, "/destinations")
    made = post(ivan, "/destinations", page, name="ris", url="https://ris.example/hook")
    assert len(secret_in(made.text)) > 30
    assert post(ivan, "/destinations", page, name="bad", url="ftp://ris.example").status_code == 422
    in_clear = post(ivan, "/destinations", page, name="bad", url="http://ris.example/hook")
    assert in_clear.status_code == 422
    assert "Results leave in clear (http) only within the site's own network" in words(in_clear.text)
    a_screened_study(blobs)
    letter = session.scalars(select(Delivery)).one()
    letter.state, letter.attempts, letter.last_error = "dead", 8, "The receiver answered 500."
    session.commit()
    dead = get(ivan, "/destinations")
    assert "The receiver answered 500." in words(dead)
    assert post(ivan, f"/destinations/deliveries/{letter.id}/resend", dead).status_code == 303
    session.refresh(letter)
    assert (letter.state, letter.attempts) == ("pending", 0)
    again = post(ivan, f"/destinations/deliveries/{letter.id}/resend", dead)
    assert again.status_code == 409
    assert post(ivan, f"/destinations/{letter.destination_id}/disable", dead).status_code == 303
    assert "disabled" in words(get(ivan, "/destinations"))


def test_an_administrator_decides_a_conflict_in_words(browser: Browser, session, blobs: Blobs) -> None:
    one = an_admitted_study(blobs, patient_id="A", study_instance_uid="1.2.3.4")
    an_admitted_study(blobs, patient_id="B", study_instance_uid="1.2.3.4")
    admin = browser("root", Role.ADMINISTRATOR)
    page = get(admin, "/conflicts")
    assert "One StudyInstanceUID, two patients" in page
    conflict = session.scalars(select(IdentityConflict)).one()
    assert post(admin, f"/conflicts/{conflict.id}", page, resolution="  ").status_code == 422
    decision = "Two patients; modality <re-used> the UID."
    assert post(admin, f"/conflicts/{conflict.id}", page, resolution=decision).status_code == 303
    assert post(admin, f"/conflicts/{conflict.id}", page, resolution=decision).status_code == 303
    assert post(admin, f"/conflicts/{conflict.id}", page, resolution="Otherwise.").status_code == 409
    after = get(admin, "/conflicts")
    assert "None is open." in words(after)
    assert "modality &lt;re-used&gt; the UID." in after
    assert "Another patient" not in get(admin, f"/studies/{one.study_id}")
    events = session.scalars(select(AuditEvent).where(AuditEvent.action == "conflict.resolved")).all()
    assert [(event.actor_name, event.details) for event in events] == [("root", {"kind": "other-patient"})]


def test_more_conflicts_than_a_page_holds_are_announced(browser: Browser, session, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="A", study_instance_uid="1.2.3.4")
    an_admitted_study(blobs, patient_id="B", study_instance_uid="1.2.3.4")
    one = session.scalars(select(IdentityConflict)).one()
    with transaction() as other:
        other.add_all(
            IdentityConflict(
                kind=one.kind, uid=one.uid, study_id=one.study_id, other_study_id=one.other_study_id
            )
            for _ in range(101)
        )
    assert "2 more wait; they follow as these are decided." in words(
        get(browser("root", Role.ADMINISTRATOR), "/conflicts")
    )


def test_the_trail_is_filtered_and_paged_by_the_auditor(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    auditor = browser("audrey", Role.AUDITOR)
    browser("alice", Role.RADIOLOGIST)
    with transaction() as other:
        other.add_all(
            AuditEvent(action="test.counted", actor_kind="system", actor_name="bulk", details={"n": number})
            for number in range(150)
        )
    everything = get(auditor, "/audit")
    assert everything.count("test.counted") == 100
    older = re.search(r'rel="next" href="([^"]+)"', everything).group(1).replace("&amp;", "&")
    second = get(auditor, older)
    assert second.count("test.counted") == 50
    assert "user.signed-in" in second
    mine = words(get(auditor, f"/audit?study={admission.study_id}&action=study."))
    assert "study.screened" in mine
    assert "image.admitted" not in mine
    alone = words(get(auditor, "/audit?actor=alice"))
    assert "user.signed-in" in alone
    assert "audrey" not in alone.split("Details", 1)[1]
    day = now().date()
    assert "Nothing matches." in get(auditor, f"/audit?until={day - timedelta(days=1)}")
    assert "user.signed-in" in get(auditor, f"/audit?actor=alice&since={day}&until={day}")


@pytest.mark.parametrize(
    "query", ["study=none", "since=yesterday", "until=9999-12-31", "before=0", "since=0001-01-01"]
)
def test_a_senseless_filter_is_told_and_breaks_nothing(browser: Browser, query: str) -> None:
    answer = browser("audrey", Role.AUDITOR).get(f"/audit?{query}", headers=ACCEPT)
    assert answer.status_code in (200, 422)


def test_the_network_page_shows_use_limits_and_figures_of_the_active_bundle(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    assert "No network is active yet" in get(alice, "/models")
    manifest = {
        "name": "paediatric",
        "version": "3",
        "intended_use": {
            "min_age_years": 1.0,
            "max_age_years": 6.0,
            "modalities": ["CR", "DX"],
            "body_parts": ["CHEST"],
            "views": ["AP", "PA"],
        },
        "findings": [
            {"name": "pneumonia", "code_scheme": "SCT", "code_value": "233604007", "research": False},
            {"name": "viral pneumonia", "code_scheme": "SCT", "code_value": "75570004", "research": True},
        ],
        "thresholds": {"pneumonia": {"operating_point": 0.48, "rule_in": 0.61, "rule_out": None}},
        "provenance": {
            "data": "Kermany",
            "held_out": {"pneumonia": {"plain": {"auc": 0.9927}, "stressed": {"auc": 0.9798}}},
        },
    }
    with transaction() as session:
        registry.register(session, sha256="c" * 64, manifest=manifest, by=SYSTEM)
        registry.promote(session, sha256="c" * 64, by=SYSTEM, reason="test")
    page = words(get(alice, "/models"))
    assert "paediatric 3 reads now." in page
    assert "1 to under 6 years" in page
    assert "0.993" in page
    assert "0.61 none ranks the worklist" in page
    assert "research only" in page


def test_a_manifest_that_says_nothing_breaks_nothing(browser: Browser) -> None:
    with transaction() as session:
        registry.register(session, sha256="c" * 64, manifest={"name": "bare", "version": "0"}, by=SYSTEM)
        registry.promote(session, sha256="c" * 64, by=SYSTEM, reason="test")
    assert "bare 0 reads now." in words(get(browser("alice", Role.RADIOLOGIST), "/models"))


def test_the_status_page_counts_what_waits_and_warns_when_it_waits_long(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    oscar = browser("oscar", Role.OPERATOR)
    page = words(get(oscar, "/status"))
    assert "1 wait for the network" in page
    assert "No worker has reported itself." in page
    assert "Screening has stalled" not in page
    early = now() - timedelta(hours=1)
    session.execute(
        update(Study).where(Study.id == admission.study_id).values(arrived_at=early, rank_at=early)
    )
    session.commit()
    assert "Screening has stalled" in words(get(oscar, "/status"))


def test_a_senseless_number_of_days_is_told_on_the_page_and_keeps_the_form(browser: Browser) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    answer = post(root, "/people/keys", get(root, "/people"), name="ward", days="soon", scopes="read")
    assert answer.status_code == 400
    assert "The field days holds a whole number." in words(answer.text)
    assert 'value="ward"' in answer.text


def test_the_trail_says_nothing_of_what_is_not_there(browser: Browser, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as session:
        a_bundle(session)
        [study] = claimed(session)
        withheld = image_read(admission.image_id, outcome=Outcome.WITHHELD, reason="An adult.")
        record(session, study, withheld)
    page = words(get(browser("ada", Role.AUDITOR), "/audit?action=study.withheld"))
    assert "study.withheld" in page
    assert "None" not in page


def test_the_status_page_leads_to_the_description_of_the_interface(browser: Browser) -> None:
    theirs = browser("ivan", Role.INTEGRATOR)
    assert 'href="/docs"' in get(theirs, "/status")
    assert theirs.get("/docs", headers=ACCEPT).status_code == 200
