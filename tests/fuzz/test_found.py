"""What the fuzzers found, each mended once and for all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.web.main import create_app
from worker.learning.unpack import Limits, ZipRefused, unpack


def test_an_origin_that_is_half_an_address_is_another_site(database: str, broker: str) -> None:
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        answer = client.post(
            "/sign-in", data={"username": "a", "password": "b"}, headers={"Origin": "http://["}
        )
    assert answer.status_code == 403


def test_a_zip_with_a_nameless_entry_is_refused_in_a_sentence(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "nameless.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(zipfile.ZipInfo(""), b"data")
    with pytest.raises(ZipRefused, match="leads out of it"):
        unpack(path, name="nameless.zip", blobs=blobs, limits=Limits(files=9, file_bytes=99, total_bytes=99))
