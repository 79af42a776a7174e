"""No route tells a person what the network said of a study they read blind. The routes are the router's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import blinding, review
from app.commands.review import Statement
from app.domain.roles import SYSTEM, Role, Scope
from app.domain.states import Outcome
from app.records import ConfirmedCase, Image, Study
from app.records.engine import transaction
from app.web.main import application, create_app
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import (
    a_bundle,
    a_screened_study,
    a_signed_study,
    a_user,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
    towards,
)

PLANTED = 0.8734
_NOBODY = "00000000-0000-4000-8000-000000000000"
_LEFT_OUT = {  # they change who may see what, or end the session
    "POST /studies/{study_id}/review",
    "POST /api/v1/studies/{study_id}/reviews",
    "POST /account/blind",
    "POST /sign-out",
}
_FILTER = re.compile(r'<details class="filters".*?</details>', re.DOTALL)
_HELP = re.compile(r'<dialog id="help".*?</dialog>', re.DOTALL)
_EXPLAINED = re.compile(r'<details class="explain".*?</details>', re.DOTALL)
_KINDS = re.compile(r'<div hidden data-heat-words="[a-z_]+"')
TELLING = {
    "the probability": re.compile(r"0\.8734|0\.87\b|87\.3"),
    "the lane": re.compile(r"rule-in|▲|abstain|rule-out", re.IGNORECASE),
    "the lane in a word": re.compile(r"\b(un)?likely\b"),
    "the credit": re.compile(r"Placed as if|Placed by its time|h earlier|\"rank_at\": ?\"|data-rank="),
    "the verdict's comparison": re.compile(r"\b(confirmed|corrected)( and signed|\")|\"verdict\": ?\""),
    "a map": re.compile(
        r"activation_map|occlusion_map\"|\"heat\": \[\{|\[\[0\.0, 0\.0|\"contributions\": ?\{\""
    ),
    "the confirmation": re.compile(r"Confirm and sign"),
}


@pytest.fixture
def client(database: str, broker: str) -> Iterator[TestClient]:
    """The application; its event streams end at once."""
    app = create_app()
    with TestClient(app, base_url="http://firstread.test") as client:
        assert client.portal is not None
        client.portal.call(app.state.hub.stop)
        yield client


@dataclass
class Crawl:
    """Every route asked about one study, and what each answer tells."""

    client: TestClient
    study_id: UUID
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def all_routes(self) -> dict[str, list[str]]:
        """What tells, by the route whose answer tells it."""
        with transaction() as session:
            study = session.get_one(Study, self.study_id)
            image = session.scalars(select(Image).where(Image.study_id == self.study_id)).first()
            assert image is not None
            named = {
                "study_id": str(study.id),
                "image_id": str(image.id),
                "look_id": str(study.id),
                "study": study.study_instance_uid,
                "study_instance_uid": study.study_instance_uid,
                "series": image.series_instance_uid,
                "instance": image.sop_instance_uid,
                "frames": "1",
            }
        for context in iter_route_contexts(application.routes):
            for method in sorted(context.methods or ()):
                route = f"{method} {context.path}"
                if route not in _LEFT_OUT:
                    path = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], _NOBODY), context.path)
                    self.ask(route, method, path, data={"text": study.patient_id, "image": str(image.id)})
        for query in (
            "?section=done",
            "?lane=rule-in",
            "?lane=rule-out",
            "?finding=pneumonia",
            "?held=nobody",
        ):
            self.ask(f"GET /{query}", "GET", f"/{query}")
        self.ask("GET rows", "GET", f"/worklist/rows?id={study.id}&lane=rule-out")
        self.ask("GET by UID", "GET", f"/api/v1/studies?study_instance_uid={study.study_instance_uid}")
        self.ask("GET part", "GET", f"/studies/{study.id}/similar?part=true")
        self.ask("GET layers", "GET", f"/models/layers?study={study.id}")
        self.ask("GET trail", "GET", f"/audit?study={study.id}")
        return self.telling()

    def ask(self, route: str, method: str, path: str, **body: object) -> None:
        headers = self.headers if method == "GET" else {**self.headers, "Accept": "application/json"}
        sent = body if method == "POST" else {}
        answer = self.client.request(method, path, headers=headers, follow_redirects=False, **sent)  # type: ignore[arg-type]
        assert answer.status_code < 500 or route == "GET /readyz", f"{route}: {answer.status_code}"
        text = answer.text if answer.headers.get("content-type", "").startswith(("text", "appl")) else ""
        for part in (_FILTER, _HELP, _EXPLAINED, _KINDS):
            text = part.sub("", text)
        self.answers[route] = f"{answer.status_code} {dict(answer.headers)} {text}"

    def telling(self) -> dict[str, list[str]]:
        """Of the answers that speak of the study, those that tell the opinion."""
        general = ("/openapi.json", "/docs", "/help", "/models", "/problems/{slug}")  # in general
        told = {}
        for route, text in self.answers.items():
            if route.endswith(general):
                continue
            found = [what for what, telling in TELLING.items() if telling.search(text)]
            if found:
                told[route] = found
        return told


def a_blind_study(blobs: Blobs) -> UUID:
    with transaction() as session:
        blinding.set_share(session, share=100, by=SYSTEM)
    return a_screened_study(blobs, probability=PLANTED, embedding=towards(1)).study_id


def test_no_route_tells_a_person_of_a_study_that_waits(
    client: TestClient, sign_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_blind_study(blobs)
    crawl = Crawl(sign_in(*Role), study_id)
    assert crawl.all_routes() == {}
    shown = crawl.answers["GET /studies/{study_id}"]
    assert "Blind read." in shown
    assert f'id="s-{study_id}"' in crawl.answers["GET /"]
    assert f'id="s-{study_id}"' in crawl.answers["GET /?lane=rule-out"], "no filter loses it"
    assert str(study_id) in crawl.answers["POST /worklist/search"]


def test_no_route_tells_a_person_who_asked_to_read_blind(
    client: TestClient, sign_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs, probability=PLANTED, embedding=towards(1)).study_id
    reader = sign_in(*Role)
    assert "the lane" in Crawl(reader, study_id).all_routes()["GET /studies/{study_id}"]
    reader.post("/account/blind", data={"hide": "yes"})
    assert Crawl(reader, study_id).all_routes() == {}


def test_no_route_tells_of_a_blind_study_that_somebody_else_has_signed(
    client: TestClient, sign_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_blind_study(blobs)
    with transaction() as session:
        grace = a_user(session, "grace", Role.RADIOLOGIST)
    with transaction() as session:
        review.sign(
            session,
            study_id=study_id,
            by=grace,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": Statement.PRESENT},
        )
        session.execute(update(ConfirmedCase).values(settled=True))
    reader = sign_in(*Role)
    crawl = Crawl(reader, study_id)
    assert crawl.all_routes() == {}
    assert f'id="s-{study_id}"' in crawl.answers["GET /?section=done"]


def test_a_blind_study_as_a_case_of_another_tells_nothing(
    client: TestClient, sign_in: SignIn, blobs: Blobs
) -> None:
    asked = a_screened_study(blobs, probability=0.5111, embedding=towards(0)).study_id
    with transaction() as session:
        blinding.set_share(session, share=100, by=SYSTEM)
    case = a_signed_study(blobs, probability=PLANTED, embedding=towards(50), say=Statement.PRESENT)
    for address in (f"/api/v1/studies/{asked}/similar", f"/studies/{asked}/similar?part=true"):
        answer = sign_in(Role.RADIOLOGIST).get(address).text
        assert str(case) in answer
        assert not TELLING["the probability"].search(answer)
        assert not re.search(r"rule-in|confirmed\"|network corrected|read without", answer, re.IGNORECASE)


def test_a_key_is_told_and_so_is_a_reader_after_their_verdict(
    client: TestClient, sign_in: SignIn, key: KeyMaker, blobs: Blobs
) -> None:
    study_id = a_blind_study(blobs)
    machine = Crawl(client, study_id, headers=key(Scope.READ))
    told = machine.all_routes()
    for route in ("GET /api/v1/studies/{study_id}", "GET /api/v1/worklist", "GET by UID"):
        assert {"the probability", "the lane", "the credit"} <= set(told[route]), route
    reader = sign_in(Role.RADIOLOGIST)
    signed = reader.post(
        f"/studies/{study_id}/review",
        data={"action": "correct", "finding:pneumonia": "absent", "revision": str(revision_of(study_id))},
        follow_redirects=False,
    )
    assert signed.status_code == 303, signed.text
    page = reader.get(f"/studies/{study_id}").text
    assert "The network had said: pneumonia likely (0.87)." in page
    assert "Pneumonia likely" in page
    shown = reader.get(f"/api/v1/studies/{study_id}").json()
    assert (shown["blind"], shown["reviews"][0]["blind"], shown["reviews"][0]["verdict"]) == (
        False,
        True,
        "corrected",
    )


def test_why_an_image_was_not_read_stays_visible(client: TestClient, sign_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        blinding.set_share(session, share=100, by=SYSTEM)
    admission = an_admitted_study(blobs)
    with transaction() as session:
        [study] = claimed(session)
        a_bundle(session)
        record(
            session, study, image_read(admission.image_id, outcome=Outcome.WITHHELD, reason="A lateral view.")
        )
    reader = sign_in(Role.RADIOLOGIST)
    assert "A lateral view." in reader.get("/").text
    assert "A lateral view." in reader.get(f"/studies/{admission.study_id}").text


def test_the_share_is_set_on_a_page_and_what_is_none_is_refused_there(
    client: TestClient, sign_in: SignIn
) -> None:
    admin = sign_in(Role.ADMINISTRATOR)
    assert admin.post("/site/blind-share", data={"share": "7,5"}, follow_redirects=False).status_code == 303
    assert "7.5 % since" in admin.get("/site").text
    for wrong in ("", "many", "101", "nan"):
        answer = admin.post("/site/blind-share", data={"share": wrong}, headers={"Accept": "text/html"})
        assert answer.status_code == 422
        assert "a number from 0 to 100" in answer.text
    assert sign_in(Role.RADIOLOGIST).get("/site").status_code == 403


def test_one_key_confirms_nothing_of_a_blind_study(client: TestClient, sign_in: SignIn, blobs: Blobs) -> None:
    study_id = a_blind_study(blobs)
    reader = sign_in(Role.RADIOLOGIST)
    refused = reader.post(
        f"/api/v1/studies/{study_id}/reviews", json={"revision": revision_of(study_id), "confirm": True}
    )
    assert refused.status_code == 409
    assert "hidden from you until you have signed" in refused.json()["detail"]


def test_the_choice_stands_on_the_account_page(client: TestClient, sign_in: SignIn) -> None:
    reader = sign_in(Role.RADIOLOGIST)
    assert "only after I have committed" in reader.get("/account").text
    reader.post("/account/blind", data={"hide": "yes"})
    assert "Show me the network’s opinion at once" in reader.get("/account").text
    reader.post("/account/blind", data={"hide": "no"})
    assert "only after I have committed" in reader.get("/account").text
