"""Every route by every role and by none. The routes come from the router; a new one fails without a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from sqlalchemy import select
from starlette.testclient import TestClient

from app.commands import people, second_factor
from app.domain.roles import (
    SYSTEM,
    Permission,
    Role,
    Scope,
    permissions_of,
    permissions_of_scopes,
)
from app.records import Session
from app.records.engine import transaction
from app.web.auth import GuardedRoute, RouteWithoutRule, anyone
from app.web.main import application, create_app
from tests.builders import PASSWORD, a_key, a_user

ANYONE, SIGNED_IN = "anyone", "signed in"
UUID = "00000000-0000-4000-8000-000000000000"

WHO_MAY: dict[str, str] = {
    "GET /": SIGNED_IN,
    "GET /account": SIGNED_IN,
    "POST /account/blind": "study.read",
    "POST /account/language": SIGNED_IN,
    "GET /account/second-factor": SIGNED_IN,
    "POST /account/second-factor/begin": SIGNED_IN,
    "POST /account/second-factor/confirm": SIGNED_IN,
    "POST /account/second-factor/recovery-codes": SIGNED_IN,
    "POST /account/second-factor/remove": SIGNED_IN,
    "POST /account/sessions/end": SIGNED_IN,
    "GET /adjudication": "study.review",
    "GET /api/v1/adjudication": "study.review",
    "GET /api/v1/colleagues": "study.review",
    "GET /api/v1/datasets": "model.train",
    "POST /api/v1/datasets": "model.train",
    "DELETE /api/v1/datasets/{dataset_id}": "model.train",
    "GET /api/v1/datasets/{dataset_id}": "model.train",
    "GET /api/v1/datasets/{dataset_id}/files": "model.train",
    "POST /api/v1/datasets/{dataset_id}/files": "model.train",
    "POST /api/v1/datasets/{dataset_id}/files/{file_id}/decision": "model.train",
    "POST /api/v1/datasets/{dataset_id}/inspect": "model.train",
    "GET /api/v1/datasets/{dataset_id}/received": "model.train",
    "GET /api/v1/deliveries": "destination.manage operations.read",
    "POST /api/v1/deliveries/{delivery_id}/resend": "destination.manage",
    "GET /api/v1/destinations": "destination.manage operations.read",
    "POST /api/v1/destinations": "destination.manage",
    "DELETE /api/v1/destinations/{destination_id}": "destination.manage",
    "GET /api/v1/events": "study.read",
    "POST /api/v1/images/{image_id}/layers": "model.look-inside",
    "GET /api/v1/images/{image_id}/occlusion-map": "study.read",
    "POST /api/v1/images/{image_id}/occlusion-map": "study.read",
    "GET /api/v1/images/{image_id}/pixels": "study.read",
    "GET /api/v1/images/{image_id}/pixels/info": "study.read",
    "GET /api/v1/images/{image_id}/preview": "study.read",
    "GET /api/v1/images/{image_id}/thumbnail": "study.read",
    "GET /api/v1/jobs/{job_id}": "model.train",
    "POST /api/v1/jobs/{job_id}/cancel": "model.train",
    "POST /api/v1/layers": "model.look-inside",
    "GET /api/v1/layers/{look_id}": "model.look-inside",
    "POST /api/v1/proposals/{proposal_id}/decision": "model.promote",
    "GET /api/v1/evaluations/{evaluation_id}": "model.read",
    "GET /api/v1/models": "model.read",
    "GET /api/v1/models/{sha256}": "model.read",
    "GET /api/v1/models/{sha256}/exports": "model.train",
    "POST /api/v1/models/{sha256}/exports": "model.train",
    "GET /api/v1/models/{sha256}/exports/{export_id}": "model.train",
    "GET /api/v1/models/{sha256}/shadow": "model.train",
    "POST /api/v1/models/{sha256}/shadow": "model.train",
    "DELETE /api/v1/models/{sha256}/shadow": "model.train",
    "POST /api/v1/models/{sha256}/evaluations": "model.train",
    "POST /api/v1/models/{sha256}/proposals": "model.promote",
    "POST /api/v1/models/{sha256}/rollback": "model.promote",
    "POST /api/v1/models/{sha256}/tries": "model.train",
    "GET /api/v1/tries/{look_id}": "model.train",
    "GET /api/v1/second-opinions": "study.review",
    "POST /api/v1/second-opinions/{opinion_id}/verdicts": "study.review",
    "POST /api/v1/second-opinions/{opinion_id}/withdraw": "study.review",
    "GET /api/v1/studies": "study.read",
    "POST /api/v1/studies": "study.admit",
    "GET /api/v1/studies/{study_id}": "study.read",
    "POST /api/v1/studies/{study_id}/adjudication": "study.review",
    "POST /api/v1/studies/{study_id}/claim": "study.review",
    "POST /api/v1/studies/{study_id}/release": "study.review",
    "POST /api/v1/studies/{study_id}/retry": "study.review operations.read",
    "POST /api/v1/studies/{study_id}/reviews": "study.review",
    "POST /api/v1/studies/{study_id}/reviews/{review_id}/undo": "study.review",
    "POST /api/v1/studies/{study_id}/second-opinions": "study.review",
    "GET /api/v1/studies/{study_id}/similar": "study.review",
    "POST /api/v1/studies/{study_id}/take-over": "study.review",
    "GET /api/v1/training-runs": "model.train",
    "POST /api/v1/training-runs": "model.train",
    "GET /api/v1/training-runs/{run_id}": "model.train",
    "GET /api/v1/worklist": "study.read",
    "GET /audit": "audit.read",
    "GET /audit/patient": "audit.read",
    "POST /audit/patient": "audit.read",
    "GET /conflicts": "conflict.resolve",
    "POST /conflicts/{conflict_id}": "conflict.resolve",
    "GET /destinations": "destination.manage",
    "POST /destinations": "destination.manage",
    "POST /destinations/deliveries/{delivery_id}/resend": "destination.manage",
    "POST /destinations/{destination_id}/disable": "destination.manage",
    "GET /dicomweb/instances": "study.read",
    "GET /dicomweb/series": "study.read",
    "GET /api/v1/snapshots": "model.train",
    "POST /api/v1/snapshots": "model.train",
    "POST /api/v1/snapshots/preview": "model.train",
    "GET /api/v1/snapshots/{snapshot_id}": "model.train",
    "GET /api/v1/snapshots/{snapshot_id}/manifest": "model.train+study.read",
    "POST /api/v1/snapshots/{snapshot_id}/exports": "model.train",
    "GET /api/v1/snapshots/{snapshot_id}/exports/{export_id}": "model.train",
    "GET /training/snapshots": "model.train",
    "POST /training/snapshots": "model.train",
    "POST /training/snapshots/looks": "model.train",
    "GET /training/snapshots/{snapshot_id}": "model.train",
    "POST /training/snapshots/{snapshot_id}/exports": "model.train",
    "GET /dicomweb/studies": "study.read",
    "POST /dicomweb/studies": "study.admit",
    "GET /dicomweb/studies/{study}": "study.read",
    "GET /dicomweb/studies/{study}/instances": "study.read",
    "GET /dicomweb/studies/{study}/metadata": "study.read",
    "GET /dicomweb/studies/{study}/series": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/7FE00010": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail": "study.read",
    "GET /dicomweb/studies/{study}/series/{series}/metadata": "study.read",
    "POST /dicomweb/studies/{study_instance_uid}": "study.admit",
    "GET /docs": ANYONE,
    "GET /healthz": ANYONE,
    "POST /language": ANYONE,
    "GET /help": SIGNED_IN,
    "POST /help/guide": "study.read",
    "GET /metrics": "operations.read",
    "GET /models": "model.read",
    "GET /models/{sha256}": "model.read",
    "GET /models/{sha256}/export": "model.train",
    "POST /models/{sha256}/export": "model.train",
    "GET /models/{sha256}/export/{export_id}": "model.train",
    "GET /models/{sha256}/shadow": "model.train",
    "POST /models/{sha256}/shadow/begin": "model.train",
    "POST /models/{sha256}/shadow/end": "model.train",
    "GET /models/{sha256}/card.json": "model.read",
    "GET /models/{sha256}/card.md": "model.read",
    "POST /models/{sha256}/evaluations": "model.train",
    "POST /models/{sha256}/proposals": "model.promote",
    "POST /models/{sha256}/rollback": "model.promote",
    "POST /models/proposals/{proposal_id}": "model.promote",
    "GET /models/layers": "model.look-inside",
    "POST /models/layers": "model.look-inside",
    "GET /models/layers/{look_id}": "model.look-inside",
    "GET /openapi.json": ANYONE,
    "GET /password": SIGNED_IN,
    "POST /password": SIGNED_IN,
    "GET /people": "people.manage",
    "POST /people/keys": "people.manage",
    "POST /people/keys/{key_id}/revoke": "people.manage",
    "POST /people/second-factor": "people.manage",
    "POST /people/users": "people.manage",
    "POST /people/users/{user_id}/disable": "people.manage",
    "POST /people/users/{user_id}/enable": "people.manage",
    "POST /people/users/{user_id}/password": "people.manage",
    "POST /people/users/{user_id}/roles": "people.manage",
    "POST /people/users/{user_id}/second-factor/reset": "people.manage",
    "POST /people/users/{user_id}/sessions/end": "people.manage",
    "POST /people/users/{user_id}/unlock": "people.manage",
    "GET /problems/{slug}": ANYONE,
    "GET /readyz": ANYONE,
    "GET /second-opinions": "study.review",
    "POST /second-opinions/{opinion_id}/verdicts": "study.review",
    "POST /second-opinions/{opinion_id}/withdraw": "study.review",
    "GET /sign-in": ANYONE,
    "POST /sign-in": ANYONE,
    "GET /sign-in/code": ANYONE,
    "POST /sign-in/code": ANYONE,
    "GET /sign-in/provider": ANYONE,
    "GET /sign-in/provider/back": ANYONE,
    "GET /signed-out": ANYONE,
    "POST /sign-out": SIGNED_IN,
    "GET /site": "site.manage",
    "GET /site/patients": "site.manage",
    "GET /site/patients/proofs/{deletion_id}": "site.manage",
    "POST /site/patients": "site.manage",
    "POST /site/patients/delete": "site.manage",
    "POST /site/blind-share": "site.manage",
    "POST /site/promotion-people": "site.manage",
    "GET /status": "operations.read",
    "GET /studies/{study_id}": "study.read",
    "POST /studies/{study_id}/claim": "study.review",
    "POST /studies/{study_id}/left": "study.review",
    "GET /studies/{study_id}/draft": "study.review",
    "POST /studies/{study_id}/draft": "study.review",
    "GET /studies/{study_id}/now": "study.read",
    "GET /studies/{study_id}/pictures": "study.read",
    "POST /studies/{study_id}/release": "study.review",
    "POST /studies/{study_id}/retry": "study.review operations.read",
    "POST /studies/{study_id}/review": "study.review",
    "POST /studies/{study_id}/reviews/{review_id}/undo": "study.review",
    "POST /studies/{study_id}/second-opinion": "study.review",
    "GET /studies/{study_id}/onwards": "study.read",
    "POST /studies/{study_id}/opened": "study.review",
    "POST /studies/{study_id}/shown": "study.read",
    "GET /studies/{study_id}/similar": "study.review",
    "POST /studies/{study_id}/take-over": "study.review",
    "GET /training/datasets": "model.train",
    "GET /training/datasets/{dataset_id}": "model.train",
    "GET /training/datasets/{dataset_id}/files": "model.train",
    "GET /training/datasets/{dataset_id}/files/{file_id}/picture": "model.train",
    "POST /training/datasets/{dataset_id}/abandon": "model.train",
    "POST /training/datasets/{dataset_id}/files/{file_id}": "model.train",
    "POST /training/datasets/{dataset_id}/inspect": "model.train",
    "POST /training/datasets/{dataset_id}/settle": "model.train",
    "GET /training": "model.train",
    "POST /training/again": "model.train",
    "POST /training/plan": "model.train",
    "GET /training/runs": "model.train",
    "POST /training/runs": "model.train",
    "GET /training/runs/{run_id}": "model.train",
    "GET /upload": "study.admit",
    "GET /worklist/page": "study.read",
    "GET /worklist/rows": "study.read",
    "POST /worklist/columns": "study.read",
    "POST /worklist/key": "people.manage",
    "POST /worklist/search": "study.read",
    "POST /worklist/views": "study.read",
    "POST /worklist/views/forget": "study.read",
}
WITH_ONE_TIME_PASSWORD = {"GET /password", "POST /password", "POST /sign-out"}
WITHOUT_SECOND_FACTOR = WITH_ONE_TIME_PASSWORD | {
    "GET /account/second-factor",
    "POST /account/second-factor/begin",
    "POST /account/second-factor/confirm",
    "POST /account/second-factor/recovery-codes",
    "POST /account/second-factor/remove",
}
ASKS_FOR_PROOF = {"POST /sign-in", "POST /sign-in/code"}
"""Open to anyone, and answered with 401 for a wrong password or code."""


def routes() -> Iterator[str]:
    for context in iter_route_contexts(application.routes):
        for method in sorted(context.methods or ()):
            yield f"{method} {context.path}"


@dataclass(frozen=True)
class Asker:
    """Somebody who asks every route."""

    client: TestClient
    headers: dict[str, str]
    permissions: frozenset[Permission]

    def ask(self, route: str) -> Any:
        method, _, template = route.partition(" ")
        path = re.sub(r"\{(study|series|instance|study_instance_uid)\}", "1.2.3", template)
        path = re.sub(r"\{frames\}", "1", path)
        path = re.sub(r"\{\w+\}", UUID, path)
        headers = self.headers | {"Accept": "application/json"}
        return self.client.request(method, path, headers=headers, follow_redirects=False)

    def may(self, route: str) -> bool:
        needed = WHO_MAY[route]
        if needed in (ANYONE, SIGNED_IN):
            return True
        return any(
            all(Permission(name) in self.permissions for name in together.split("+"))
            for together in needed.split()
        )


@pytest.fixture
def client(database: str, broker: str) -> Iterator[TestClient]:
    app = create_app()
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(app.state.hub.stop)  # event streams end at once
        yield client


def signed_in(client: TestClient, name: str) -> dict[str, str]:
    answer = client.post("/sign-in", data={"username": name, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303
    with transaction() as session:
        token = session.scalar(select(Session.csrf_token).order_by(Session.created_at.desc()))
    assert token is not None
    return {"X-CSRF-Token": token}


def as_role(client: TestClient, role: Role) -> Asker:
    with transaction() as session:
        a_user(session, "somebody", role)
    return Asker(client, signed_in(client, "somebody"), permissions_of([role]))


def as_scope(client: TestClient, scope: Scope) -> Asker:
    with transaction() as session:
        key = a_key(session, "machine", scope)
    return Asker(client, {"Authorization": f"Bearer {key}"}, permissions_of_scopes([scope]))


def test_every_route_has_a_line_here_and_every_line_a_route() -> None:
    assert sorted(routes()) == sorted(WHO_MAY), "say in WHO_MAY who may use the new route"


_ASKERS: dict[str, Callable[[TestClient], Asker]] = {
    **{f"role {role.value}": lambda client, role=role: as_role(client, role) for role in Role},
    **{f"scope {scope.value}": lambda client, scope=scope: as_scope(client, scope) for scope in Scope},
}


@pytest.mark.parametrize("asker", _ASKERS.values(), ids=_ASKERS.keys())
def test_a_caller_passes_where_the_table_says_and_nowhere_else(
    client: TestClient, asker: Callable[[TestClient], Asker]
) -> None:
    caller = asker(client)
    wrong = []
    # The sign-out ends the session, so it comes last.
    for route in sorted(WHO_MAY, key=lambda route: route == "POST /sign-out"):
        answer = caller.ask(route)
        passed = answer.status_code not in (401, 403)
        broken = answer.status_code >= 500 and route != "GET /readyz"
        if route not in ASKS_FOR_PROOF and (broken or passed != caller.may(route)):
            wrong.append(
                f"{route}: {answer.status_code}, expected to {'pass' if caller.may(route) else 'fail'}"
            )
        if answer.status_code == 403 and answer.json()["type"] != "/problems/forbidden":
            wrong.append(f"{route}: {answer.json()['type']}")
    assert wrong == []


def test_without_key_or_session_only_the_open_routes_answer(client: TestClient) -> None:
    nobody = Asker(client, {}, frozenset())
    wrong = []
    for route, needed in WHO_MAY.items():
        status = nobody.ask(route).status_code
        if (status != 401) != (needed == ANYONE) and route not in ASKS_FOR_PROOF:
            wrong.append(f"{route}: {status}")
    assert wrong == []


def test_a_one_time_password_opens_nothing_but_its_change(client: TestClient) -> None:
    with transaction() as session:
        one_time = people.add_user(session, username="newcomer", display_name="", roles=list(Role), by=SYSTEM)
    client.post("/sign-in", data={"username": "newcomer", "password": one_time}, follow_redirects=False)
    with transaction() as session:
        token = session.scalar(select(Session.csrf_token))
    newcomer = Asker(client, {"X-CSRF-Token": str(token)}, permissions_of(list(Role)))
    wrong = []
    for route in sorted(WHO_MAY, key=lambda route: route == "POST /sign-out"):
        answer = newcomer.ask(route)
        refused = answer.status_code == 403 and answer.json()["type"] == "/problems/password-change-required"
        if refused == (WHO_MAY[route] == ANYONE or route in WITH_ONE_TIME_PASSWORD):
            wrong.append(f"{route}: {answer.status_code}")
    assert wrong == []


def test_a_role_that_needs_a_second_factor_opens_nothing_but_setting_it_up(client: TestClient) -> None:
    with transaction() as session:
        a_user(session, "everybody", *Role)
        second_factor.require_of(session, roles=[Role.AUDITOR], by=SYSTEM)
    everybody = Asker(client, signed_in(client, "everybody"), permissions_of(list(Role)))
    wrong = []
    for route in sorted(WHO_MAY, key=lambda route: route == "POST /sign-out"):
        answer = everybody.ask(route)
        refused = answer.status_code == 403 and answer.json()["type"] == "/problems/second-factor-required"
        if refused == (WHO_MAY[route] == ANYONE or route in WITHOUT_SECOND_FACTOR):
            wrong.append(f"{route}: {answer.status_code}")
    assert wrong == []


def test_every_unsafe_route_of_a_session_needs_its_token_and_our_own_pages(client: TestClient) -> None:
    with transaction() as session:
        a_user(session, "everybody", *Role)
    token = signed_in(client, "everybody")
    unsafe = [route for route in WHO_MAY if not route.startswith("GET") and WHO_MAY[route] != ANYONE]
    forged: list[dict[str, str]] = [
        {},
        {"X-CSRF-Token": "guess"},
        token | {"Origin": "https://elsewhere.example"},
        token | {"Sec-Fetch-Site": "cross-site"},
        token | {"Sec-Fetch-Site": "same-site"},
        token | {"Origin": "null"},
    ]
    wrong = []
    for route in unsafe:
        for headers in forged:
            answer = Asker(client, headers, frozenset()).ask(route)
            if answer.status_code != 403 or answer.json()["type"] != "/problems/cross-site-request":
                wrong.append(f"{route} {headers}: {answer.status_code}")
    assert wrong == []


def test_a_route_without_a_rule_cannot_be_built() -> None:
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(RouteWithoutRule):
        router.get("/open")(lambda: None)
    with pytest.raises(RouteWithoutRule):
        router.get("/twice", dependencies=[anyone(), anyone()])(lambda: None)
