"""Orthanc, as hospitals run it: a modality sends to it by C-STORE, and it forwards each instance by STOW."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import a_dicom
from tests.served import Service, eventually, free_port

_PLUGINS = Path("/usr/share/orthanc/plugins")
_FORWARD = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  local body = '{"Resources": ["' .. instanceId .. '"], "Synchronous": false}'
  RestApiPost('/dicom-web/servers/firstread/stow', body)
end
"""


class Orthanc:
    """A running Orthanc."""

    def __init__(self, *, http_port: int, dicom_port: int) -> None:
        self.url = f"http://127.0.0.1:{http_port}"
        self.dicom_port = dicom_port


@contextmanager
def orthanc_forwarding_to(folder: Path, firstread: dict[str, Any]) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc")
    plugin = next(_PLUGINS.glob("libOrthancDicomWeb.so*"), None) if _PLUGINS.is_dir() else None
    if program is None or plugin is None or shutil.which("storescu") is None:
        pytest.skip("needs the Debian packages orthanc, orthanc-dicomweb and dcmtk")
    folder.mkdir()
    (folder / "forward.lua").write_text(_FORWARD)
    http_port, dicom_port = free_port(), free_port()
    configuration = {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(plugin)],
        "LuaScripts": [str(folder / "forward.lua")],
        "DicomWeb": {"Enable": True, "Servers": {"firstread": firstread}},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        orthanc = Orthanc(http_port=http_port, dicom_port=dicom_port)
        deadline = time.monotonic() + 30
        while not _answers(orthanc.url):
            assert process.poll() is None and time.monotonic() < deadline, (
                folder / "orthanc.log"
            ).read_text()
            time.sleep(0.1)
        yield orthanc
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/system", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("credentials", ["bearer", "basic"])
def test_what_a_modality_sends_to_orthanc_is_on_the_worklist(
    served: Service, key: str, tmp_path: Path, credentials: str
) -> None:
    server: dict[str, Any] = {"Url": f"{served.url}/dicomweb/"}
    if credentials == "bearer":
        server["HttpHeaders"] = {"Authorization": f"Bearer {key}"}
    else:
        server |= {"Username": "orthanc", "Password": key}
    files = []
    for number in range(1, 4):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(a_dicom(patient_id=f"P{number}"))
        files.append(str(path))
    with orthanc_forwarding_to(tmp_path / "orthanc", server) as orthanc:
        subprocess.run(
            ["storescu", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), *files], check=True
        )
        with served.client({"Authorization": f"Bearer {key}"}) as client:

            def patients() -> set[str]:
                studies = client.get("/api/v1/worklist").json()["studies"]
                return {study["patient_id"] for study in studies}

            eventually(lambda: patients() == {"P1", "P2", "P3"})
            sent_again = subprocess.run(
                ["storescu", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), files[0]], check=False
            )
            assert sent_again.returncode == 0
            jobs = httpx.get(f"{orthanc.url}/jobs?expand").json()
            assert all(job["State"] != "Failure" for job in jobs), jobs
            assert len(client.get("/api/v1/worklist").json()["studies"]) == 3


def test_a_wrong_key_fails_orthancs_job_and_stores_nothing(served: Service, key: str, tmp_path: Path) -> None:
    server = {"Url": f"{served.url}/dicomweb/", "HttpHeaders": {"Authorization": "Bearer fr_wrong"}}
    path = tmp_path / "one.dcm"
    path.write_bytes(a_dicom())
    with orthanc_forwarding_to(tmp_path / "orthanc", server) as orthanc:
        subprocess.run(["storescu", "127.0.0.1", str(orthanc.dicom_port), str(path)], check=True)
        eventually(
            lambda: any(job["State"] == "Failure" for job in httpx.get(f"{orthanc.url}/jobs?expand").json())
        )
    with served.client({"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/api/v1/worklist").json()["studies"] == []
