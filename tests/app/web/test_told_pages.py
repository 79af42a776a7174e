"""Refusals and stored sentences: in the reader's language on pages, in English to whoever sends a key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import audit
from app.domain.roles import Actor, Role, Scope
from app.domain.states import TRANSITIONS, Outcome
from app.records import Study
from app.records.engine import transaction
from app.web.pages.deeds import DEEDS
from tests.app.dicom.judged import judge
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_bundle, an_admitted_study, claimed, image_read, record

CHINESE = {"Accept-Language": "zh-CN"}
ACTION = re.compile(r"refused|[a-z-]+\.[a-z-]+")
ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture
def withheld(blobs: Blobs) -> tuple[str, str]:
    """A study that the header gate withheld, and its sentence."""
    why = judge(view_position="LLD").withheld
    assert why is not None
    admission = an_admitted_study(blobs, patient_id="P1")
    with transaction() as session:
        a_bundle(session)
        [study] = claimed(session)
        read = [image_read(image.image_id, outcome=Outcome.WITHHELD, reason=why) for image in study.images]
        record(session, study, *read)
    return str(admission.study_id), why


def test_a_stored_sentence_is_told_on_pages_and_stays_english_for_machines(
    client: TestClient, key: KeyMaker, sign_in: SignIn, withheld: tuple[str, str]
) -> None:
    study, why = withheld
    told = "这是侧卧位片；本网络仅适用于正位（AP 或 PA）。"
    person = sign_in(Role.RADIOLOGIST)
    for page in ("/", f"/studies/{study}"):
        in_chinese = person.get(page, headers=CHINESE).text
        assert told in in_chinese
        assert why not in in_chinese
        assert why in person.get(page).text
    reader = key(Scope.READ)
    assert client.get(f"/api/v1/studies/{study}", headers=reader | CHINESE).json()["reason"] == why
    with transaction() as session:
        assert session.scalars(select(Study.reason)).one() == why


def test_a_refusal_is_told_to_people_and_is_english_for_machines(
    client: TestClient, key: KeyMaker, sign_in: SignIn
) -> None:
    nowhere = f"/api/v1/studies/{uuid4()}"
    person = sign_in(Role.RADIOLOGIST)
    refused = person.get(nowhere, headers=CHINESE).json()
    assert (refused["title"], refused["detail"]) == ("未找到", "没有这个检查。")
    assert refused["type"] == "/problems/not-found"
    page = person.get(f"/studies/{uuid4()}", headers=CHINESE | {"Accept": "text/html"}).text
    assert "没有这个检查。" in page
    machine = key(Scope.READ)
    client.cookies.clear()
    refused = client.get(nowhere, headers=machine | CHINESE).json()
    assert (refused["title"], refused["detail"]) == ("Not found", "There is no such study.")
    answer = client.get("/dicomweb/studies/1.2.3/metadata", headers=machine | CHINESE).json()
    assert answer["detail"] == "Nothing is stored at this address."


def test_what_is_wrong_with_each_file_is_told_to_who_uploads_it(client: TestClient, sign_in: SignIn) -> None:
    person = sign_in(Role.RADIOLOGIST)
    sent = [("files", ("report.pdf", b"%PDF-1.7 report", "application/pdf"))]
    detail = "该文件是 PDF 文档，不是 X 线片。请发送 DICOM、PNG 或 JPEG 格式的 X 线片。"
    assert person.post("/api/v1/studies", files=sent, headers=CHINESE).json()["detail"] == detail
    files = person.post("/api/v1/studies", files=sent * 2, headers=CHINESE).json()["files"]
    assert [file["problem"]["detail"] for file in files] == [detail] * 2
    refused = person.post("/api/v1/studies", files=sent, data={"age": "old"}, headers=CHINESE).json()
    assert refused["detail"] == "age：岁写作 3 或 3Y，月写作 18M，周写作 6W，天写作 5D。"


def test_a_wrong_password_is_told_before_anybody_has_signed_in(client: TestClient) -> None:
    page = client.post("/sign-in", data={"username": "nobody", "password": "none"}, headers=CHINESE).text
    assert "用户名或密码不正确。" in page


def test_every_action_of_the_audit_trail_has_words() -> None:
    assert set(_actions()) | {transition.audit for transition in TRANSITIONS} <= set(DEEDS)


def test_the_trail_says_in_words_what_its_codes_mean(client: TestClient, sign_in: SignIn) -> None:
    auditor = sign_in(Role.AUDITOR)
    assert "登录" in auditor.get("/audit?action=user.signed-in", headers=CHINESE).text
    assert ">user.signed-in<" in auditor.get("/audit", headers=CHINESE).text


def test_the_trail_says_of_people_and_what_they_wrote_what_was_recorded(
    sign_in: SignIn,
) -> None:
    operator = Actor(kind="user", id=None, name="operator")
    with transaction() as session:
        audit.record(session, action="study.taken-over", by=operator, reason="read")
        audit.record(session, action="study.signed", by=operator, verdict="read")
        audit.record(session, action="study.failed", by=operator, reason="The file is empty.")
    shown = sign_in(Role.AUDITOR).get("/audit", headers=CHINESE).text
    assert re.findall(r"(?:reason|verdict)</span> ([^\s<·]+)", shown) == ["该文件为空。", "read", "read"]


def _actions() -> Iterator[str]:
    """What the code hands to the audit trail as `action`."""
    for folder in ("app", "worker"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.keyword) and node.arg == "action":
                    found = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
                    yield from (value for value in found if ACTION.fullmatch(str(value)))
