"""Second opinions and adjudication by REST, and page by page on the pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import consult
from app.commands.review import Statement
from app.domain.roles import Actor, Role, Scope, permissions_of
from app.queries import adjudication as disputes
from app.queries import second_opinions as opinions
from app.records import AuditEvent, Review, User
from app.records.engine import transaction
from tests.app.web.conftest import KeyMaker, csrf_token
from tests.builders import PASSWORD, a_screened_study, a_user, revision_of, sign

Reader = Callable[..., TestClient]
ABSENT = Statement.ABSENT


@pytest.fixture
def reader(client: TestClient) -> Iterator[Reader]:
    """`reader("grace")`: a radiologist's own client, whose requests carry the session's token."""
    opened: list[TestClient] = []

    def sign_in(name: str, *roles: Role) -> TestClient:
        with transaction() as session:
            if session.scalar(select(User).where(User.username == name)) is None:
                a_user(session, name, *(roles or (Role.RADIOLOGIST,)))
        theirs = TestClient(client.app, base_url="http://firstread.test")
        opened.append(theirs)
        theirs.post("/sign-in", data={"username": name, "password": PASSWORD})
        theirs.headers["X-CSRF-Token"] = csrf_token(theirs)
        return theirs

    yield sign_in
    for each in opened:
        each.close()


def verdict(study_id: UUID, say: str) -> dict[str, object]:
    return {"revision": revision_of(study_id), "findings": {"pneumonia": say}, "comment": "Seen."}


def actor(name: str) -> Actor:
    with transaction() as session:
        user = session.scalars(select(User).where(User.username == name)).one()
        return Actor(kind="user", id=user.id, name=name, permissions=permissions_of([Role.RADIOLOGIST]))


def test_a_question_is_asked_and_answered_by_rest(reader: Reader, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    grace, henri = reader("grace"), reader("henri")
    reader("admin", Role.ADMINISTRATOR)
    named = grace.get("/api/v1/colleagues").json()["colleagues"]
    assert [one["username"] for one in named] == ["henri"], "radiologists, and not oneself"
    address = f"/api/v1/studies/{study_id}/second-opinions"
    question = {"of": "henri", "question": "Left <lower> lobe?"}
    assert grace.post(address, json=question).status_code == 409, "the study is nobody's yet"
    grace.post(f"/api/v1/studies/{study_id}/reviews", json=verdict(study_id, "present"))
    asked = grace.post(address, json=question)
    assert asked.status_code == 201, asked.text
    assert asked.json()["study"] == str(study_id)
    [one] = henri.get("/api/v1/second-opinions").json()["second_opinions"]
    assert (one["id"], one["asked_by"], one["question"]) == (
        asked.json()["id"],
        "grace",
        "Left <lower> lobe?",
    )
    assert (one["study_url"], one["answer"]) == (f"/api/v1/studies/{study_id}", None)
    assert henri.get(one["study_url"]).json()["reviews"] == [], "not before his own"
    answered = henri.post(f"{one['study_url']}/reviews", json=verdict(study_id, "absent"))
    assert answered.status_code == 201
    assert henri.get("/api/v1/second-opinions").json()["second_opinions"] == []
    [told] = grace.get("/api/v1/second-opinions?side=answered").json()["second_opinions"]
    assert (told["asked_of"], told["answer"]) == ("henri", {"pneumonia": "absent"})
    withdrawn = grace.post(f"/api/v1/second-opinions/{one['id']}/withdraw")
    assert withdrawn.status_code == 409, "it has been given"


def test_a_question_is_taken_back_and_verdicts_are_asked_for_by_who_may(reader: Reader, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    grace, henri = reader("grace"), reader("henri")
    grace.post(f"/api/v1/studies/{study_id}/reviews", json=verdict(study_id, "present"))
    asked = grace.post(f"/api/v1/studies/{study_id}/second-opinions", json={"of": "henri"}).json()["id"]
    address = f"/api/v1/second-opinions/{asked}"
    assert grace.post(f"{address}/verdicts").status_code == 403
    assert henri.post(f"{address}/withdraw").status_code == 403
    assert [henri.post(f"{address}/verdicts").status_code for _ in range(2)] == [204, 204]
    [review] = henri.get(f"/api/v1/studies/{study_id}").json()["reviews"]
    assert review["reviewer"] == "grace"
    assert [grace.post(f"{address}/withdraw").status_code for _ in range(2)] == [204, 204]
    assert henri.get("/api/v1/second-opinions").json()["second_opinions"] == []
    with transaction() as session:
        actions = session.scalars(
            select(AuditEvent.action).where(AuditEvent.action.startswith("second-opinion."))
        ).all()
    assert sorted(actions) == [
        "second-opinion.asked",
        "second-opinion.verdict-shown",
        "second-opinion.withdrawn",
    ]


@pytest.mark.parametrize("of", ["nobody", "admin", "grace"])
def test_who_cannot_be_asked_is_refused_in_words(reader: Reader, blobs: Blobs, of: str) -> None:
    study_id = a_screened_study(blobs).study_id
    grace = reader("grace")
    reader("admin", Role.ADMINISTRATOR)
    grace.post(f"/api/v1/studies/{study_id}/claim")
    refused = grace.post(f"/api/v1/studies/{study_id}/second-opinions", json={"of": of})
    assert refused.status_code == 422
    assert refused.json()["detail"] in (
        "Ask a radiologist of this site.",
        "A second opinion is somebody else's. Choose a colleague.",
    )
    assert grace.get(f"/api/v1/studies/{study_id}").json()["held_by"] == "grace", "the hold is kept"


def test_a_disagreement_is_listed_and_settled_by_rest(reader: Reader, blobs: Blobs) -> None:
    study_id = sign(sign(a_screened_study(blobs).study_id, by="grace"), by="henri", say=ABSENT)
    irma, grace = reader("irma"), reader("grace")
    [one] = irma.get("/api/v1/adjudication").json()["studies"]
    assert (one["study"], one["in_dispute"], one["refused"]) == (str(study_id), ["pneumonia"], None)
    said = [(position["reader"], position["findings"]["pneumonia"]) for position in one["positions"]]
    assert said == [("grace", "present"), ("henri", "absent")]
    [theirs] = grace.get("/api/v1/adjudication").json()["studies"]
    assert theirs["refused"].startswith("You have read this study.")
    address = f"/api/v1/studies/{study_id}/adjudication"
    assert grace.post(address, json=verdict(study_id, "present")).status_code == 409
    stale = verdict(study_id, "uncertain") | {"revision": 1}
    assert irma.post(address, json=stale).status_code == 409
    assert irma.post(address, json={"findings": {"pneumonia": "absent"}}).status_code == 422
    assert irma.post(address, json=verdict(study_id, "absent") | {"confirm": True}).status_code == 422
    settled = irma.post(address, json=verdict(study_id, "uncertain"))
    assert (settled.status_code, settled.json()["state"]) == (201, "amended")
    assert irma.get("/api/v1/adjudication").json()["studies"] == []
    newest = irma.get(f"/api/v1/studies/{study_id}").json()["reviews"][0]
    assert (newest["reviewer"], newest["label_source"], newest["comment"]) == ("irma", "adjudicated", "Seen.")
    assert irma.post(address, json=verdict(study_id, "absent")).status_code == 409


def test_a_key_asks_nobody_and_settles_nothing_but_sees_what_is_in_dispute(
    client: TestClient, key: KeyMaker, blobs: Blobs
) -> None:
    study_id = sign(sign(a_screened_study(blobs).study_id, by="grace"), by="henri", say=ABSENT)
    headers = key(Scope.REVIEW)
    [one] = client.get("/api/v1/adjudication", headers=headers).json()["studies"]
    assert one["refused"] == "Only a person adjudicates."
    assert client.get("/api/v1/second-opinions", headers=headers).json()["second_opinions"] == []
    asked = client.post(f"/api/v1/studies/{study_id}/second-opinions", headers=headers, json={"of": "grace"})
    settled = client.post(
        f"/api/v1/studies/{study_id}/adjudication", headers=headers, json=verdict(study_id, "absent")
    )
    assert (asked.status_code, settled.status_code) == (403, 403)


def test_every_dispute_and_every_question_is_reached_page_by_page(reader: Reader, blobs: Blobs) -> None:
    studies = [
        sign(sign(a_screened_study(blobs).study_id, by="grace"), by="henri", say=ABSENT) for _ in "123"
    ]
    irma = reader("irma")
    asker, asked = actor("grace"), actor("irma")
    listed, asked_about, cursor = [], [], None
    for _ in studies:
        page = irma.get("/api/v1/adjudication", params={"size": 1} | ({"cursor": cursor} if cursor else {}))
        listed += [one["study"] for one in page.json()["studies"]]
        cursor = page.json()["next_cursor"]
    assert cursor is None
    assert sorted(listed) == sorted(str(study) for study in studies), "each once"
    assert asked.id is not None
    for study_id in studies:
        with transaction() as session:
            consult.ask(session, study_id=study_id, of=asked.id, question="", by=asker)
    for _ in studies:
        query = {"size": 1} | ({"cursor": cursor} if cursor else {})
        page = irma.get("/api/v1/second-opinions", params=query)
        asked_about += [one["study"] for one in page.json()["second_opinions"]]
        cursor = page.json()["next_cursor"]
    assert (asked_about, cursor) == ([str(study) for study in studies], None), "the oldest first"
    for study_id in studies:
        sign(study_id, by="irma", say=ABSENT)
    with transaction() as session:
        first = opinions.answers_to(session, who=asker, size=2)
        rest = opinions.answers_to(session, who=asker, size=2, cursor=first.next_cursor)
        assert disputes.count(session, who=asked) == 3
    found = [one.study_id for one in (*first.opinions, *rest.opinions)]
    assert (found, rest.next_cursor) == (studies[::-1], None), "the newest first"


def test_pages_say_that_there_is_more_and_lead_there(
    reader: Reader, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [
        sign(sign(a_screened_study(blobs).study_id, by="grace"), by="henri", say=ABSENT) for _ in "123"
    ]
    irma, asker, asked = reader("irma"), None, None
    for query in (disputes.disputes, opinions.asked_of, opinions.answers_to):
        assert query.__kwdefaults__["size"] == 50
        monkeypatch.setitem(query.__kwdefaults__, "size", 2)
    first = irma.get("/adjudication").text
    assert "3 studies whose readers disagree on a finding." in first
    assert first.count('#adjudicate">') == 4, "two studies, each by its name and by its button"
    following = first.split('rel="next" href="')[1].split('"')[0]
    assert str(studies[2]) in irma.get(following).text
    asker, asked = actor("grace"), actor("irma")
    assert asked.id is not None
    for study_id in studies:
        with transaction() as session:
            consult.ask(session, study_id=study_id, of=asked.id, question="", by=asker)
    worklist = irma.get("/").text
    assert 'href="/second-opinions"' in worklist
    assert ">2+<" in worklist
    assert str(studies[2]) not in worklist.split('id="asked"')[1].split("</section>")[0]
    first = irma.get("/second-opinions").text
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    last = irma.get(following).text
    assert str(studies[2]) in last
    assert 'rel="next"' not in last
    for study_id in studies:
        sign(study_id, by="irma", say=ABSENT)
    assert 'href="/second-opinions?side=answered"' in reader("grace").get("/").text


@pytest.mark.parametrize("address", ["/adjudication", "/second-opinions", "/second-opinions?side=answered"])
def test_a_cursor_of_somebody_elses_making_is_refused(reader: Reader, address: str) -> None:
    joint = "&" if "?" in address else "?"
    for prefix in ("", "/api/v1"):
        assert reader("grace").get(f"{prefix}{address}{joint}cursor=nonsense").status_code == 400


def test_an_answer_is_not_told_to_an_asker_who_is_asked_themselves(reader: Reader, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    grace, henri, irma = reader("grace"), reader("henri"), reader("irma")
    address = f"/api/v1/studies/{study_id}"
    for asker, of in ((grace, "henri"), (irma, "grace")):
        assert asker.post(f"{address}/claim").status_code == 204
        assert asker.post(f"{address}/second-opinions", json={"of": of}).status_code == 201
    henri.post(f"{address}/reviews", json=verdict(study_id, "absent"))
    [told] = grace.get("/api/v1/second-opinions?side=answered").json()["second_opinions"]
    assert (told["asked_of"], told["answer"]) == ("henri", None)
    assert told["answered_at"] is not None
    assert grace.post(f"{address}/reviews", json=verdict(study_id, "present")).status_code == 201
    [told] = grace.get("/api/v1/second-opinions?side=answered").json()["second_opinions"]
    assert told["answer"] == {"pneumonia": "absent"}


def test_who_is_asked_neither_settles_a_dispute_nor_learns_of_it(reader: Reader, blobs: Blobs) -> None:
    agreed = sign(a_screened_study(blobs).study_id, by="grace")
    study_id = sign(sign(a_screened_study(blobs).study_id, by="grace"), by="henri", say=ABSENT)
    grace, irma = reader("grace"), reader("irma")
    asked = grace.post(f"/api/v1/studies/{study_id}/second-opinions", json={"of": "irma"}).json()["id"]
    told = []
    for study in (agreed, study_id):
        refused = irma.post(f"/api/v1/studies/{study}/adjudication", json=verdict(study, "uncertain"))
        assert refused.status_code == 409
        told.append(refused.json()["detail"])
    assert told[0] == told[1], "as where nothing is in dispute"
    form = {
        "revision": str(revision_of(study_id)),
        "action": "sign",
        "finding:pneumonia": "uncertain",
        "adjudicates": "yes",
        "disputed": "yes",
    }
    page = irma.post(f"/studies/{study_id}/review", data=form, headers={"Accept": "text/html"})
    assert page.status_code == 409
    assert told[0] in page.text
    assert "henri" not in page.text.lower()
    with transaction() as session:
        signers = session.scalars(select(Review.reviewer_name).where(Review.study_id == study_id)).all()
    assert sorted(signers) == ["grace", "henri"]
    assert irma.post(f"/api/v1/second-opinions/{asked}/verdicts").status_code == 204
    settled = irma.post(f"/api/v1/studies/{study_id}/adjudication", json=verdict(study_id, "uncertain"))
    assert settled.status_code == 201


@pytest.mark.parametrize("address", ["/adjudication", "/second-opinions", "/"])
def test_a_cursor_nested_too_deeply_to_be_read_is_refused(reader: Reader, address: str) -> None:
    cursor = base64.urlsafe_b64encode(b"[" * 6000).decode()
    assert reader("grace").get(address, params={"cursor": cursor}).status_code == 400
