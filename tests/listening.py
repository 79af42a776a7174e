"""The DICOM listener in this process, on a free port, and what calls it."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from sqlalchemy import select

from app.cli.dimse import options_of
from app.dicom.listener import Listener
from app.dimse import DimseIntake
from app.embedded.listener import listen
from app.records import AuditEvent, Image
from app.records.engine import transaction
from app.settings import settings


@dataclass
class Listening:
    """A listener that answers; `counted` are the outcomes of its images."""

    port: int
    counted: list[str] = field(default_factory=list)

    def dcmtk(self, program: str, *words: str, calling: str = "CARE7") -> subprocess.CompletedProcess[str]:
        """A program of DCMTK against it, with `words` after host and port or, as options, before them."""
        if shutil.which(program) is None:
            pytest.skip("needs the Debian package dcmtk")
        options = [word for word in words if not word.startswith("/")]
        files = [word for word in words if word.startswith("/")]
        titles = ["-aet", calling, *([] if "-aec" in words else ["-aec", settings().dimse_title])]
        return subprocess.run(
            [program, *titles, *options, "127.0.0.1", str(self.port), *files],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def association(self, *data: bytes, calling: str = "CARE7", **tls: Any) -> Iterator[Association]:
        """An association with contexts for these images, and for C-ECHO."""
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
        wanted = {(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in map(dataset, data)}
        contexts = [build_context("1.2.840.10008.1.1"), *(build_context(*each) for each in sorted(wanted))]
        made = ae.associate("127.0.0.1", self.port, contexts=contexts, ae_title=settings().dimse_title, **tls)
        try:
            yield made
        finally:
            if made.is_established:
                made.acse_timeout = 2  # in vain, where the listener's abort came just before
                made.release()

    def store(self, data: bytes, *, calling: str = "CARE7") -> Dataset:
        """The status that one image is answered with."""
        with self.association(data, calling=calling) as association:
            assert association.is_established
            return association.send_c_store(dataset(data))

    def raw(self, source: str = "127.0.0.1") -> socket.socket:
        """A connection that says what it likes, from this address of the machine."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0))


@contextmanager
def listening(on: socket.socket | None = None) -> Iterator[Listening]:
    """A listener with this process's settings, until the block ends, on this socket or a new one."""
    on = on or listen("127.0.0.1", 0)
    here = Listening(port=on.getsockname()[1])
    intake = DimseIntake(settings(), count=here.counted.append)
    listener = Listener(on, options_of(settings()), intake)
    serving = threading.Thread(target=listener.serve, daemon=True)
    serving.start()
    try:
        yield here
    finally:
        listener.stop(grace_seconds=2)
        serving.join(10)
        intake.close()


def dataset(data: bytes) -> Any:
    """The image as its sender has it."""
    return dcmread(io.BytesIO(data))


def file_of(folder: Path, data: bytes, name: str = "image.dcm") -> str:
    """The path of a file with these bytes."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def images() -> list[Image]:
    with transaction() as session:
        return list(session.scalars(select(Image).order_by(Image.arrived_at)))


def refusals() -> list[AuditEvent]:
    with transaction() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.action == "refused")))


def staged() -> list[Path]:
    return list((settings().blob_folder / "incoming").iterdir())


@cache
def a_request() -> bytes:
    """What echoscu begins with."""
    ae = AE(ae_title="CARE7")
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as calling:
        ae.acse_timeout = 2
        contexts, port = [build_context("1.2.840.10008.1.1")], server.getsockname()[1]
        asked = calling.submit(ae.associate, "127.0.0.1", port, contexts, ae_title="FIRSTREAD")
        connection, _ = server.accept()
        with connection:
            head = connection.recv(6, socket.MSG_WAITALL)
            request = head + connection.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)
        asked.result(10)
    return request
