"""The next study's pictures are decoded while one is read, and nobody has seen them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import AuditEvent, Image, Study
from app.records.engine import transaction
from app.settings import settings
from tests.app.web.conftest import SignIn
from tests.app.web.pages.forms import ACCEPT
from tests.builders import a_screened_study, an_admitted_study
from tests.served import eventually


def decoded() -> set[str]:
    """Whose samples are kept."""
    folder = settings().home / "cache" / "pictures"
    return {path.name.partition(".")[0] for path in folder.glob("*.info.json")}


def sha256_of(study_id: Any) -> str:
    with transaction() as session:
        found = session.scalar(select(Image.sha256).where(Image.study_id == study_id))
    assert found is not None
    return found


def test_the_next_studys_pictures_are_decoded_and_nobody_has_seen_them(sign_in: SignIn, blobs: Blobs) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    reader = sign_in(Role.RADIOLOGIST)
    assert reader.get(f"/studies/{first}", headers=ACCEPT).status_code == 200
    eventually(lambda: sha256_of(second) in decoded(), seconds=20)
    assert sha256_of(third) not in decoded()
    with transaction() as session:
        seen = session.scalars(select(AuditEvent.study_id).where(AuditEvent.action == "study.viewed")).all()
        states = session.scalars(select(Study.state)).all()
    assert seen == [first], "what is decoded ahead is no view"
    assert set(states) == {"screened"}, "and no claim"


def test_an_image_that_cannot_be_decoded_harms_nobody(sign_in: SignIn, blobs: Blobs) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    Path(blobs.path(sha256_of(second))).write_bytes(b"DICM, and then nothing")
    reader = sign_in(Role.RADIOLOGIST)
    reader.get(f"/studies/{first}", headers=ACCEPT)
    reader.get(f"/studies/{second}", headers=ACCEPT)
    eventually(lambda: sha256_of(first) in decoded(), seconds=20)
    image_id = image_of(second)
    assert reader.get(f"/api/v1/images/{image_id}/pixels/info").status_code == 422


def image_of(study_id: Any) -> Any:
    with transaction() as session:
        return session.scalar(select(Image.id).where(Image.study_id == study_id))


def test_nothing_is_decoded_for_somebody_who_does_not_read(sign_in: SignIn, blobs: Blobs) -> None:
    first = a_screened_study(blobs).study_id
    a_screened_study(blobs)
    an_admitted_study(blobs)
    visitor: TestClient = sign_in(Role.INTEGRATOR)
    visitor.get(f"/studies/{first}", headers=ACCEPT)
    time.sleep(1)
    assert decoded() == set()
