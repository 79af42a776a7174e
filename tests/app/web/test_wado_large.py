"""Studies of many instances are sent page by page and are never whole in memory."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import select, text
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.records import Image
from app.records.engine import transaction
from tests.app.web.instances import an_instance, parts_of
from tests.app.web.test_stow import store

# Studies of many instances


def many(blobs: Blobs, count: int) -> None:
    """The one stored image once more `count` times: other UIDs and rows, the same bytes under other names."""
    with transaction() as session:
        stored = session.scalars(select(Image)).one()
        path = blobs.path(stored.sha256)
        columns = [column.name for column in Image.__table__.columns]
        new = {
            "id": "gen_random_uuid()",
            "sha256": "encode(sha256(number::text::bytea), 'hex')",
            "sop_instance_uid": "'1.1.1.' || number",
        }
        values = ", ".join(new.get(column, column) for column in columns)
        names = session.scalars(
            text(
                f"INSERT INTO images ({', '.join(columns)}) SELECT {values} FROM images,"
                f" generate_series(2, {count + 1}) AS number RETURNING sha256"
            )
        ).all()
    for name in names:
        link = blobs._path(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)


def test_all_pages_of_a_large_study_are_sent_in_order_and_once(
    archive: TestClient, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(archive, {}, an_instance())
    many(blobs, 22)
    expected = {f"1.1.1.{number}" for number in range(2, 24)} | {"1.1.1.1"}
    for page in (1, 7, 23, 100):
        monkeypatch.setattr(import_module("app.web.dicomweb.wado"), "PAGE", page)
        assert len(archive.get("/dicomweb/studies/1.1/metadata").json()) == 23
        parts = parts_of(archive.get("/dicomweb/studies/1.1"))
        assert len(parts) == 23
        places = [head.partition("Content-Location: ")[2] for head, _ in parts]
        assert {place.rpartition("/")[2] for place in places} == expected
    xml = archive.get("/dicomweb/studies/1.1/metadata", headers={"Accept": "application/dicom+xml"})
    assert len(parts_of(xml)) == 23


def test_metadata_of_a_large_study_are_never_whole_in_memory(archive: TestClient, blobs: Blobs) -> None:
    words = "x" * 10_000
    store(archive, {}, an_instance(tags={"ImageComments": words}))
    many(blobs, 600)
    sent, largest, peak = drained(archive, "/dicomweb/studies/1.1/metadata")
    assert sent > 601 * len(words)
    assert largest < 5 * len(words)
    assert peak < sent / 2


def drained(archive: TestClient, path: str) -> tuple[int, int, int]:
    """Bytes sent, the largest piece of them, and the most memory held while they were sent and dropped."""
    sent, largest = 0, 0

    async def send(message: Any) -> None:
        nonlocal sent, largest
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            tracemalloc.reset_peak()
        body = message.get("body", b"")
        sent, largest = sent + len(body), max(largest, len(body))

    async def receive() -> Any:
        await asyncio.sleep(60)

    headers = [(name.lower().encode(), value.encode()) for name, value in archive.headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("firstread.test", 80),
        "client": ("127.0.0.1", 1),
        "headers": [*headers, (b"host", b"firstread.test")],
        "state": {},
    }
    tracemalloc.start()
    try:
        assert archive.portal is not None
        archive.portal.call(archive.app, scope, receive, send)
        return sent, largest, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
