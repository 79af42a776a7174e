"""A service with something in it, and everybody who may ask it something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role, Scope
from app.records import Image, Review, Study, User
from app.records import Session as SignedIn
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import SESSION_COOKIE
from tests.builders import (
    BUNDLE,
    PASSWORD,
    a_key,
    a_screened_study,
    a_signed_study,
    a_user,
    an_admitted_study,
)

NOBODY = "nobody"
EVERYTHING = "every role"


@dataclass(frozen=True)
class World:
    """`callers` are the headers of each role, each scope, all roles at once, and nobody; `known` are real
    values of what addresses are made of.
    """

    client: TestClient
    callers: dict[str, dict[str, str]]
    known: dict[str, list[str]]

    def ask(self, caller: str, method: str, path: str, **request: Any) -> Any:
        """The answer to that caller, who has no other cookies than their own."""
        self.client.cookies.clear()
        headers = {**self.callers[caller], **(request.pop("headers", None) or {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **request)


def a_world(client: TestClient) -> World:
    """Studies in several states, and a person or a key of every kind."""
    assert client.portal is not None
    app: Any = client.app
    client.portal.call(app.state.hub.stop)  # event streams end at once
    blobs = Blobs(settings().blob_folder)
    an_admitted_study(blobs, patient_id="FUZZ-1")
    a_screened_study(blobs, patient_id="FUZZ-2")
    a_signed_study(blobs, by="dr.fuzz", patient_id="FUZZ-2")
    callers: dict[str, dict[str, str]] = {NOBODY: {}}
    with transaction() as session:
        for scope in Scope:
            key = a_key(session, f"fuzz {scope.value}", scope)
            callers[f"scope {scope.value}"] = {"Authorization": f"Bearer {key}"}
        for role in Role:
            a_user(session, f"fuzz.{role.value}", role)
        a_user(session, "fuzz.everything", *Role)
        a_user(session, "bystander", Role.RADIOLOGIST)
    for role in Role:
        callers[f"role {role.value}"] = _signed_in(client, f"fuzz.{role.value}")
    callers[EVERYTHING] = _signed_in(client, "fuzz.everything")
    with transaction() as session:
        known = _known(session)
    return World(client, callers, known)


def _signed_in(client: TestClient, name: str) -> dict[str, str]:
    client.cookies.clear()
    answer = client.post("/sign-in", data={"username": name, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    cookie = f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}"
    with transaction() as session:
        token = session.scalar(select(SignedIn.csrf_token).order_by(SignedIn.created_at.desc()))
    return {"Cookie": cookie, "X-CSRF-Token": str(token)}


def _known(session: Session) -> dict[str, list[str]]:
    images = session.scalars(select(Image)).all()
    studies = session.scalars(select(Study)).all()
    return {
        "study_id": [str(study.id) for study in studies],
        "study": [study.study_instance_uid for study in studies],
        "study_instance_uid": [study.study_instance_uid for study in studies],
        "series": [image.series_instance_uid for image in images],
        "instance": [image.sop_instance_uid for image in images],
        "frames": ["1", "1,1", "0", "2", "1,"],
        "image_id": [str(image.id) for image in images],
        "review_id": [str(review) for review in session.scalars(select(Review.id))],
        "sha256": [BUNDLE],
        "user_id": [
            str(found) for found in session.scalars(select(User.id).where(User.username == "bystander"))
        ],
        "slug": ["not-found"],
    }
