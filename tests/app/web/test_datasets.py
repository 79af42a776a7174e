"""Datasets over REST and on their pages: sent, interrupted, refused, looked at, set right."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain import dataset_path
from app.domain.roles import Role, Scope
from app.errors import Unavailable
from app.queries import datasets as queries
from app.records import AuditEvent, DatasetFile
from app.records.engine import transaction
from app.web import main
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_png
from tests.worker.datasets import drawn_chests, reads_drawings
from tests.worker.here import LearnerHere


@pytest.fixture
def admin(sign_in: SignIn) -> TestClient:
    return sign_in(Role.ADMINISTRATOR)


def begun(client: TestClient, name: str = "ward") -> str:
    answer = client.post("/api/v1/datasets", json={"name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def send(client: TestClient, dataset: str, files: dict[str, bytes]) -> Any:
    parts = [("files", (path, data)) for path, data in files.items()]
    return client.post(f"/api/v1/datasets/{dataset}/files", files=parts)


def inspected(client: TestClient, dataset: str, blobs: Blobs, folder: Path) -> dict[str, Any]:
    answer = client.post(f"/api/v1/datasets/{dataset}/inspect")
    assert answer.status_code == 202, answer.text
    LearnerHere(blobs=blobs, folder=folder, name="tested").drain(stop=threading.Event())
    found: dict[str, Any] = client.get(f"/api/v1/datasets/{dataset}").json()
    return found


def events(action: str) -> list[dict[str, Any]]:
    with transaction() as session:
        return [row.details for row in session.scalars(select(AuditEvent).where(AuditEvent.action == action))]


def file_of(dataset: str, path: str) -> DatasetFile:
    with transaction() as session:
        row = session.scalars(
            select(DatasetFile).where(DatasetFile.dataset_id == UUID(dataset), DatasetFile.path == path)
        ).one()
        session.expunge(row)
        return row


def test_files_sent_again_change_nothing_and_a_sender_learns_what_is_missing(admin: TestClient) -> None:
    dataset = begun(admin)
    first, second = a_png(), a_png()
    answer = send(admin, dataset, {"ward/NORMAL/1.png": first})
    assert [one["outcome"] for one in answer.json()["files"]] == ["received"]
    answer = send(admin, dataset, {"ward/NORMAL/1.png": first, "ward/ill/1.png": second})
    assert [one["outcome"] for one in answer.json()["files"]] == ["known", "received"]
    there = admin.get(f"/api/v1/datasets/{dataset}/received").json()
    assert there["files"] == [
        {"path": "ward/NORMAL/1.png", "byte_size": len(first)},
        {"path": "ward/ill/1.png", "byte_size": len(second)},
    ]
    assert there["after"] is None
    send(admin, dataset, {"ward/ill/1.png": first})
    assert file_of(dataset, "ward/ill/1.png").byte_size == len(first), "other bytes take the place"
    assert [event["files"] for event in events("dataset.files-received")] == [1, 1, 1]
    assert admin.get(f"/api/v1/datasets/{dataset}").json()["files"] == 2


def test_what_is_there_is_told_page_by_page_and_no_path_is_in_an_address(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PATHS", 2)
    dataset, other = begun(admin), begun(admin)
    sent = [f"NORMAL/OBERHUBER {number}.png" for number in range(5)]
    send(admin, dataset, {path: a_png() for path in sent})
    found: list[str] = []
    after = ""
    while after is not None:
        there = admin.get(f"/api/v1/datasets/{dataset}/received{after and f'?after={after}'}").json()
        found += [one["path"] for one in there["files"]]
        after = there["after"]
        assert after is None or UUID(after)
    assert found == sent
    last = file_of(dataset, sent[0]).id
    assert admin.get(f"/api/v1/datasets/{other}/received?after={last}").json()["files"] == []
    assert admin.get(f"/api/v1/datasets/{dataset}/received?after={sent[0]}").status_code == 422


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../NORMAL/1.png", "leads out"),
        ("/etc/1.png", "begins at the root"),
        ("C:/NORMAL/1.png", "begins at the root"),
        ("a" * 500 + ".png", "too long"),
        ("/".join("abcdefghijklmnopqr"), "too long"),
        (".", "no name"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_alone(admin: TestClient, path: str, said: str) -> None:
    dataset = begun(admin)
    answer = send(admin, dataset, {path: a_png(), "NORMAL/good.png": a_png()})
    assert answer.status_code == 200, answer.text
    bad, good = answer.json()["files"]
    assert bad["outcome"] == "refused"
    assert said in bad["problem"]["detail"]
    assert good["outcome"] == "received"


def test_an_empty_file_is_refused_alone(admin: TestClient) -> None:
    dataset = begun(admin)
    [said] = send(admin, dataset, {"NORMAL/1.png": b""}).json()["files"]
    assert "empty" in said["problem"]["detail"]


def test_too_many_files_are_refused_before_any_training(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.commands.datasets.MOST_FILES", 2)
    dataset = begun(admin)
    assert send(admin, dataset, {"NORMAL/1.png": a_png(), "NORMAL/2.png": a_png()}).status_code == 200
    answer = send(admin, dataset, {"NORMAL/3.png": a_png()})
    assert answer.status_code == 413
    assert "at most 2 files" in answer.json()["detail"]
    assert admin.get(f"/api/v1/datasets/{dataset}").json()["files"] == 2
    assert dataset_path.MOST_FILES < 1_000_000


def test_a_full_disk_is_told_and_loses_nothing_that_was_accepted(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = begun(admin)
    first = a_png()
    send(admin, dataset, {"NORMAL/1.png": first})

    def full(*_: Any) -> str:
        raise Unavailable("The disk is full; nothing was accepted. Try again once there is room.")

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "keep", full)
        answer = send(admin, dataset, {"NORMAL/2.png": a_png()})
    assert answer.status_code == 503
    assert answer.json()["retry"] is True
    assert [one["path"] for one in admin.get(f"/api/v1/datasets/{dataset}/received").json()["files"]] == [
        "NORMAL/1.png"
    ]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "ward\0"])
def test_a_dataset_needs_a_name(admin: TestClient, name: str) -> None:
    assert admin.post("/api/v1/datasets", json={"name": name}).status_code == 422


def test_a_label_that_no_database_takes_is_refused(admin: TestClient) -> None:
    dataset = begun(admin)
    send(admin, dataset, {"NORMAL/1.png": a_png()})
    answer = admin.post(
        f"/api/v1/datasets/{dataset}/files/{file_of(dataset, 'NORMAL/1.png').id}/decision",
        json={"label": "pneu\0monia"},
    )
    assert answer.status_code == 422


def test_an_empty_dataset_is_not_inspected(admin: TestClient) -> None:
    dataset = begun(admin)
    answer = admin.post(f"/api/v1/datasets/{dataset}/inspect")
    assert answer.status_code == 422
    assert "no file" in answer.json()["detail"]


def test_what_is_inspected_takes_no_files_and_is_asked_for_once(
    admin: TestClient, blobs: Blobs, tmp_path: Path
) -> None:
    dataset = begun(admin)
    send(admin, dataset, {"NORMAL/1.png": a_png()})
    first = admin.post(f"/api/v1/datasets/{dataset}/inspect").json()["job"]["id"]
    assert admin.post(f"/api/v1/datasets/{dataset}/inspect").json()["job"]["id"] == first
    assert send(admin, dataset, {"NORMAL/2.png": a_png()}).status_code == 409
    assert admin.delete(f"/api/v1/datasets/{dataset}").status_code == 409
    assert admin.post(f"/api/v1/jobs/{first}/cancel").status_code == 202
    LearnerHere(blobs=blobs, folder=tmp_path, name="tested").drain(stop=threading.Event())
    assert admin.get(f"/api/v1/datasets/{dataset}").json()["state"] == "receiving"
    assert admin.delete(f"/api/v1/datasets/{dataset}").status_code == 204
    assert admin.get(f"/api/v1/datasets/{dataset}").status_code == 404


def test_the_page_shows_a_dataset_in_every_state(admin: TestClient, blobs: Blobs, tmp_path: Path) -> None:
    dataset = begun(admin)
    assert "Files have arrived" not in admin.get(f"/training/datasets/{dataset}").text
    send(admin, dataset, {"NORMAL/a.png": a_png()})
    assert "Files have arrived" in admin.get(f"/training/datasets/{dataset}").text
    admin.post(f"/api/v1/datasets/{dataset}/inspect")
    assert "Waits for the training worker" in admin.get(f"/training/datasets/{dataset}").text
    LearnerHere(blobs=blobs, folder=tmp_path, name="tested").drain(stop=threading.Event())
    assert admin.get(f"/training/datasets/{dataset}").status_code == 200


def test_what_a_dataset_is_told_is_sent_once_and_abandoning_it_is_asked_about(admin: TestClient) -> None:
    templates = Path(main.__file__).parent / "templates"
    forms = [
        form
        for path in sorted(templates.glob("dataset*.html"))
        for form in re.findall('<form [^>]*method="post"(?:[^>"]|"[^"]*")*>', path.read_text())
    ]
    assert len(forms) >= 6
    assert [form for form in forms if "data-once" not in form] == []
    page = admin.get(f"/training/datasets/{begun(admin, 'ward 3')}").text
    assert 'data-confirm="Abandon the dataset ward 3? Its list of files' in page


def test_an_unknown_dataset_is_not_found(admin: TestClient) -> None:
    nowhere = "00000000-0000-4000-8000-000000000000"
    assert send(admin, nowhere, {"NORMAL/1.png": a_png()}).status_code == 404
    assert admin.post(f"/api/v1/datasets/{nowhere}/inspect").status_code == 404


def test_a_key_for_training_sends_and_one_for_intake_does_not(client: TestClient, key: KeyMaker) -> None:
    assert client.post("/api/v1/datasets", json={"name": "x"}, headers=key(Scope.TRAINING)).status_code == 201
    assert client.post("/api/v1/datasets", json={"name": "x"}, headers=key(Scope.INTAKE)).status_code == 403


def test_a_zip_is_inspected_and_a_label_is_set_right(admin: TestClient, blobs: Blobs, tmp_path: Path) -> None:
    reads_drawings(blobs, tmp_path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, data in drawn_chests(each=20).items():
            archive.writestr(path, data)
    dataset = begun(admin, "from a zip")
    send(admin, dataset, {"chests.zip": packed.getvalue()})
    found = inspected(admin, dataset, blobs, tmp_path / "jobs")
    assert found["state"] == "ready", found
    assert {one["label"]: one["pictures"] for one in found["classes"]} == {"normal": 20, "pneumonia": 20}
    assert found["outcomes"] == {"usable": 40, "archive": 1}
    assert events("dataset.inspected") == [{"state": "ready"}]

    page = admin.get(f"/training/datasets/{dataset}")
    assert page.status_code == 200
    assert "Likely label errors" in page.text
    none_is = "No label is more likely wrong than right." in page.text
    assert none_is == (found["likely_label_errors"] == 0)
    files = admin.get(f"/api/v1/datasets/{dataset}/files?by_doubt=true&label=normal").json()["files"]
    doubts = [one["doubt"] for one in files]
    assert doubts == sorted(doubts, reverse=True)
    wrong = files[0]
    thumbnail = admin.get(f"/training/datasets/{dataset}/files/{wrong['id']}/picture")
    assert thumbnail.content.startswith(b"\xff\xd8")
    answer = admin.post(
        f"/training/datasets/{dataset}/files/{wrong['id']}",
        data={"label": "pneumonia"},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    row = file_of(dataset, wrong["path"])
    assert (row.label, row.brought_label, row.decision, row.decided_by_name) == (
        "pneumonia",
        "NORMAL",
        "relabelled",
        "person1",
    )
    assert events("dataset.label-set-right")[0]["before"] == "NORMAL"
    answer = admin.post(
        f"/api/v1/datasets/{dataset}/files/{files[1]['id']}/decision", json={"left_out": True}
    )
    assert answer.json()["outcome"] == "left-out"
    found = inspected(admin, dataset, blobs, tmp_path / "jobs")
    assert {one["label"]: one["pictures"] for one in found["classes"]} == {"normal": 18, "pneumonia": 21}
    for query in ("label=normal", "outcome=left-out", "doubtful=true", "outcome=usable&number=2"):
        assert admin.get(f"/training/datasets/{dataset}/files?{query}").status_code == 200


def test_the_page_of_a_refused_dataset_says_why(admin: TestClient, blobs: Blobs, tmp_path: Path) -> None:
    dataset = begun(admin)
    send(admin, dataset, {"ill/1.png": a_png(), "ill/readme.txt": b"hello"})
    found = inspected(admin, dataset, blobs, tmp_path / "jobs")
    assert found["state"] == "refused"
    page = admin.get(f"/training/datasets/{dataset}").text
    assert "No network can be trained on this dataset as it is." in page
    assert found["said"] in page
