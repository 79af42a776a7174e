"""Every route with an id in its path, given somebody else's object, or one of another parent. The routes come
from the router; an id of a kind that is not named here fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from starlette.testclient import TestClient

from app import looks
from app.blobs import Blobs
from app.commands import consult, deidentified, exporting, review
from app.domain.roles import SYSTEM, Actor, Permission, Role
from app.errors import NotFound
from app.records import BundleExport, DatasetFile, Review, Snapshot, SnapshotExport, Study, User
from app.records.engine import transaction
from app.web.main import create_app
from tests.app.commands.labelled import a_dataset, patients
from tests.builders import BUNDLE, a_bundle, a_screened_study, a_user, revision_of
from tests.test_permissions import routes, signed_in

OF_THE_SITE = {
    "study_id": "every reader of the site may read every study; who holds one is a matter of PERSONS",
    "image_id": "as its study",
    "study": "as study_id",
    "series": "as study_id",
    "instance": "as study_id",
    "frames": "a number",
    "study_instance_uid": "as study_id",
    "dataset_id": "all who train share them",
    "file_id": "of its dataset, see PARENTS",
    "snapshot_id": "all who train share them",
    "export_id": "of its bundle or snapshot, see PARENTS",
    "run_id": "all who train share them",
    "job_id": "all who train share them",
    "sha256": "bundles are the site's",
    "evaluation_id": "of a bundle",
    "proposal_id": "a second person decides",
    "delivery_id": "destinations are the site's",
    "destination_id": "destinations are the site's",
    "conflict_id": "conflicts are the site's",
    "deletion_id": "deletions are the site's",
    "key_id": "whoever manages people manages keys",
    "user_id": "whoever manages people",
    "slug": "a word of the documentation",
}
"""Kinds of ids whose objects whoever has the route's permission may use."""

PERSONS = {
    "GET /api/v1/layers/{look_id}": 404,
    "GET /models/layers/{look_id}": 404,
    "GET /api/v1/tries/{look_id}": 404,
    "POST /api/v1/second-opinions/{opinion_id}/verdicts": 403,
    "POST /api/v1/second-opinions/{opinion_id}/withdraw": 403,
    "POST /second-opinions/{opinion_id}/verdicts": 403,
    "POST /second-opinions/{opinion_id}/withdraw": 403,
    "POST /api/v1/studies/{study_id}/claim": 409,
    "POST /api/v1/studies/{study_id}/release": 409,
    "POST /api/v1/studies/{study_id}/reviews": 409,
    "POST /api/v1/studies/{study_id}/second-opinions": 409,
    "POST /api/v1/studies/{study_id}/reviews/{review_id}/undo": 403,
    "POST /studies/{study_id}/reviews/{review_id}/undo": 403,
    "POST /studies/{study_id}/claim": 409,
    "POST /studies/{study_id}/opened": 200,
    "POST /studies/{study_id}/left": 204,
    "POST /studies/{study_id}/release": 409,
    "POST /studies/{study_id}/review": 409,
    "POST /studies/{study_id}/second-opinion": 409,
}
"""What somebody else's is answered with; nothing has changed then."""

ANYBODYS = {
    "POST /api/v1/studies/{study_id}/adjudication": "a signed study is held by nobody",
    "POST /api/v1/studies/{study_id}/retry": "what failed is read again, whoever asks",
    "POST /api/v1/studies/{study_id}/take-over": "is for what another holds, with a reason",
    "POST /studies/{study_id}/draft": "each reader has one of their own",
    "POST /studies/{study_id}/retry": "what failed is read again, whoever asks",
    "POST /studies/{study_id}/shown": "that one's own page was seen",
    "POST /studies/{study_id}/take-over": "is for what another holds, with a reason",
}
"""Routes that do something to a study and ask not whose it is; why."""

PARENTS = {
    "POST /api/v1/studies/{study_id}/reviews/{review_id}/undo": {},
    "POST /studies/{study_id}/reviews/{review_id}/undo": {},
    "POST /api/v1/datasets/{dataset_id}/files/{file_id}/decision": {"label": "NORMAL"},
    "POST /training/datasets/{dataset_id}/files/{file_id}": {"label": "NORMAL"},
    "GET /training/datasets/{dataset_id}/files/{file_id}/picture": {},
    "GET /api/v1/models/{sha256}/exports/{export_id}": {},
    "GET /models/{sha256}/export/{export_id}": {},
    "GET /api/v1/snapshots/{snapshot_id}/exports/{export_id}": {},
}
"""Routes to a part of something: the part of another one is not there."""

_DICOMWEB = "/dicomweb/"


def parameters(route: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", route)


def test_every_id_in_a_path_is_of_the_site_or_has_its_line() -> None:
    with_ids = {route for route in routes() if parameters(route)}
    unknown = {
        route
        for route in with_ids
        if route not in PERSONS and not all(name in OF_THE_SITE for name in parameters(route))
    }
    assert unknown == set(), "say in PERSONS or OF_THE_SITE whose it is"
    parts = {route for route in with_ids if len(parameters(route)) > 1 and _DICOMWEB not in route}
    assert parts == set(PARENTS), "say in PARENTS that the part of another one is not found"
    assert set(PERSONS) <= with_ids
    unsafe = {
        route
        for route in with_ids
        if "/studies/{study_id}/" in route and route.partition(" ")[0] not in ("GET", "HEAD")
    }
    assert unsafe - set(PERSONS) == set(ANYBODYS), "say in PERSONS what another reader is answered"


@pytest.fixture
def client(database: str, broker: str) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def actor(name: str) -> Actor:
    with transaction() as session:
        user = session.scalars(select(User).where(User.username == name)).one()
    return Actor(kind="user", id=user.id, name=name, permissions=frozenset(Permission))


def ask(client: TestClient, headers: dict[str, str], route: str, ids: dict[str, Any], body: Any) -> int:
    method, _, path = route.partition(" ")
    for name in parameters(route):
        path = path.replace(f"{{{name}}}", str(ids[name]))
    kind = {"json": body} if path.startswith("/api/") else {"data": body}
    options: dict[str, Any] = kind if method != "GET" else {}
    answer = client.request(
        method, path, headers=headers | {"Accept": "application/json"}, follow_redirects=False, **options
    )
    return answer.status_code


def rows() -> list[Any]:
    """All that another's request might have changed."""
    tables = ("reviews", "withdrawals", "second_opinions", "dataset_files")
    with transaction() as session:
        found = [
            tuple(row)
            for table in tables
            for row in session.execute(text(f"SELECT * FROM {table} ORDER BY id"))
        ]
        return [*found, *session.execute(text("SELECT id, state, claimed_by_name FROM studies ORDER BY id"))]


def test_what_is_another_persons_is_refused_and_stays_as_it_is(client: TestClient, blobs: Blobs) -> None:
    held, asked, signed = (a_screened_study(blobs).study_id for _ in range(3))
    with transaction() as session:
        for name in ("alice", "carol"):
            a_user(session, name, Role.RADIOLOGIST)
        bob = a_user(session, "bob", Role.RADIOLOGIST, Role.ADMINISTRATOR)
    alice, carol = actor("alice"), actor("carol")
    with transaction() as session:
        for study in (held, asked):
            review.claim(session, study_id=study, by=alice, minutes=15)
    assert carol.id is not None
    with transaction() as session:
        opinion = consult.ask(session, study_id=asked, of=carol.id, question="", by=alice)
    with transaction() as session:
        review.sign(
            session, study_id=signed, by=alice, revision=revision_of(signed), confirm=True, findings={}
        )
        review_id = session.scalars(select(Review.id)).one()
        held_until = session.get_one(Study, held).claim_expires_at.isoformat()
    look = looks.ask(by=alice.id, media_type="image/png", about="a file")
    assert looks.find(look, by=alice.id)  # hers is there
    headers = signed_in(client, "bob")
    bodies: dict[str, Any] = {
        "POST /api/v1/studies/{study_id}/reviews": {"revision": revision_of(held), "confirm": True},
        "POST /studies/{study_id}/review": {"revision": revision_of(held), "action": "confirm"},
        "POST /studies/{study_id}/left": {"held_until": held_until},
        "POST /api/v1/studies/{study_id}/second-opinions": {"of": "carol"},
        "POST /studies/{study_id}/second-opinion": {"colleague": str(carol.id)},
    }
    before, wrong = rows(), []
    for route, expected in PERSONS.items():
        ids = {
            "look_id": look,
            "opinion_id": opinion,
            "review_id": review_id,
            "study_id": signed if "review_id" in route else held,
        }
        status = ask(client, headers, route, ids, bodies.get(route, {}))
        if status != expected:
            wrong.append(f"{route}: {status}, expected {expected}")
    assert wrong == []
    assert rows() == before
    assert bob.id is not None


def test_the_part_of_another_one_is_not_found(client: TestClient, blobs: Blobs) -> None:
    one, other = (a_screened_study(blobs).study_id for _ in range(2))
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST, Role.ADMINISTRATOR)
        first = a_dataset(session, patients(2), name="first")
        second = a_dataset(session, patients(2, prefix="q"), name="second")
        file_id = session.scalars(select(DatasetFile.id).where(DatasetFile.dataset_id == first)).first()
        of_snapshot, of_bundle = _exports(session)
    with transaction() as session:
        review.sign(session, study_id=one, by=bob, revision=revision_of(one), confirm=True, findings={})
        review_id = session.scalars(select(Review.id)).one()
    headers = signed_in(client, "bob")
    ids = {
        "study_id": other,
        "review_id": review_id,
        "dataset_id": second,
        "file_id": file_id,
        "sha256": "c" * 64,
        "snapshot_id": uuid4(),
    }
    before, found = rows(), {}
    for route, body in PARENTS.items():
        ids["export_id"] = of_bundle if "{sha256}" in route else of_snapshot
        found[route] = ask(client, headers, route, ids, body)
    assert found == dict.fromkeys(PARENTS, 404)
    assert rows() == before


def test_an_export_is_given_out_as_its_own_parents_alone(database: str) -> None:
    """The routes above answer 404 for their parents' sake, and not because nothing was made."""
    with transaction() as session:
        of_snapshot, of_bundle = _exports(session)
        snapshot_id = session.scalars(select(Snapshot.id)).one()
    with transaction() as session:
        sha256, _ = deidentified.fetch(session, snapshot_id=snapshot_id, export_id=of_snapshot, by=SYSTEM)
        assert sha256 == "e" * 64
        sha256, _ = exporting.fetch(session, sha256=BUNDLE, export_id=of_bundle, by=SYSTEM)
        assert sha256 == "f" * 64
        with pytest.raises(NotFound):
            deidentified.fetch(session, snapshot_id=uuid4(), export_id=of_snapshot, by=SYSTEM)
        with pytest.raises(NotFound):
            exporting.fetch(session, sha256="c" * 64, export_id=of_bundle, by=SYSTEM)


def _exports(session: Any) -> tuple[UUID, UUID]:
    """One of a snapshot and one of a bundle, both made."""
    snapshot = Snapshot(name="s", sha256="d" * 64, images=1, counts={}, findings={}, created_by_name="admin")
    session.add(snapshot)
    a_bundle(session)
    session.flush()
    made = {"asked_by_name": "admin", "byte_size": 1}
    one = SnapshotExport(
        snapshot_id=snapshot.id, dates="removed", burned_in="masked", sha256="e" * 64, images=1, **made
    )
    other = BundleExport(bundle_sha256=BUNDLE, format="onnx", sha256="f" * 64, **made)
    session.add_all([one, other])
    session.flush()
    return one.id, other.id
