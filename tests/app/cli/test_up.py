"""`firstread up`: everything starts, everything ends, and whatever is in the way is told in a sentence."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from app.cli import running
from app.cli.up import dicom_socket
from app.dicom.echo import answers_echo
from app.embedded.home import Home
from app.records.engine import transaction
from app.settings import ServiceNotRunning, Settings
from tests.app.cli.starting import FIRSTREAD, Up, processes_of, until


def status_of(url: str, path: str) -> int:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def nothing_runs(up: Up) -> None:
    until(lambda: not processes_of(up.home), seconds=10, what=f"still running: {processes_of(up.home)}")


def test_a_started_service_answers_and_is_ready(service: Up) -> None:
    assert status_of(service.url, "/healthz") == 200
    until(lambda: status_of(service.url, "/readyz") == 200, seconds=30, what="never ready")
    assert "6 sample studies loaded (generated phantoms, not patients)" in service.said()


def test_the_first_administrators_password_is_printed_only_where_none_was_given(service: Up) -> None:
    assert "one-time password" not in service.said()
    assert "a password for tests" not in service.said()


def test_a_second_start_on_the_same_home_is_refused_in_a_sentence(service: Up) -> None:
    second = service.command("up")
    assert second.returncode == 1
    assert second.stdout + second.stderr == (
        f"FirstRead is running already on {service.home} (process {service.process.pid}); "  # type: ignore[union-attr]
        "stop that one first, or set FIRSTREAD_HOME to another folder.\n"
    )
    assert status_of(service.url, "/healthz") == 200


def test_a_port_in_use_is_told_and_nothing_is_left_running(service: Up, another: Up) -> None:
    port = urlsplit(service.url).port
    another.variables["PORT"] = str(port)
    refused = another.command("up")
    assert refused.returncode == 1
    assert refused.stdout + refused.stderr == (
        f"Port {port} on 127.0.0.1 is in use by another program; stop it, or choose another port, "
        f"for example with PORT={(port or 0) + 1}.\n"
    )
    nothing_runs(another)


@pytest.mark.parametrize("variable", [("PORT", "eighty"), ("FIRSTREAD_BATCH_SIZE", "0")])
def test_a_setting_that_cannot_be_used_is_named(another: Up, variable: tuple[str, str]) -> None:
    another.variables[variable[0]] = variable[1]
    refused = another.command("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{variable[0]} ('{variable[1]}') cannot be used: ")
    assert refused.stderr.count("\n") == 1


def _web_processes(service: Up) -> list[int]:
    return [pid for pid, words in processes_of(service.home).items() if "app.cli web" in words]


def test_the_web_server_is_started_again_when_it_is_killed(service: Up) -> None:
    web = _web_processes(service)
    assert len(web) == 2
    for process in web:
        os.kill(process, signal.SIGKILL)
    # the listening socket is the supervisor's: the request waits for the new process
    assert status_of(service.url, "/healthz") == 200
    until(lambda: len(_web_processes(service)) == 2, seconds=30, what="one did not come back")
    assert "The web server ended (killed by SIGKILL" in service.said()


def _listeners(service: Up) -> list[int]:
    return [pid for pid, words in processes_of(service.home).items() if "app.cli dimse" in words]


def test_the_dicom_listener_is_started_again_when_it_is_killed(service: Up) -> None:
    match = re.search(r"DICOM: FIRSTREAD listens on 127.0.0.1, port (\d+)", service.said())
    assert match, service.said()
    port = int(match[1])
    [first] = _listeners(service)
    os.kill(first, signal.SIGKILL)
    # the socket is the supervisor's: the caller waits for the new process
    until(lambda: answers_echo("127.0.0.1", port, title="FIRSTREAD"), seconds=60, what="no answer")
    [second] = _listeners(service)
    assert second != first
    assert "The DICOM listener ended (killed by SIGKILL" in service.said()


def test_a_dicom_port_in_use_is_told_and_everything_else_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FIRSTREAD_DIMSE_PORT", str(port))
        assert dicom_socket(Settings()) is None
    assert capsys.readouterr().out == (
        f"Port {port} on 127.0.0.1 is in use by another program; stop it, or choose another port, "
        f"for example with FIRSTREAD_DIMSE_PORT={port + 1}. "
        "There is no DICOM listener until the next start.\n"
    )


def test_web_processes_count_together(service: Up) -> None:
    key = service.command("key", "add", "prometheus", "--scope", "operations").stdout.strip()

    def asked() -> float:
        request = urllib.request.Request(f"{service.url}/metrics", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("firstread_http_requests_total") and 'route="/healthz"' in line
        )

    before = asked()
    for _ in range(40):
        assert status_of(service.url, "/healthz") == 200
    assert {asked() - before for _ in range(10)} == {40.0}


def test_a_killed_database_comes_back_and_the_service_with_it(service: Up) -> None:
    postmaster = int((service.home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    until(lambda: "The PostgreSQL ended" in service.said(), seconds=10, what="not noticed")
    until(lambda: status_of(service.url, "/readyz") == 200, seconds=60, what="never ready again")


def test_ctrl_c_ends_everything_and_the_next_start_has_the_data(another: Up) -> None:
    another.start()
    assert another.command("key", "add", "scanner", "--scope", "intake").returncode == 0
    assert another.end(signal.SIGINT) == 0
    assert another.said().endswith("FirstRead has stopped; its data stays.\n")
    nothing_runs(another)
    assert another.command("key", "list").returncode == 1

    another.start()
    assert "scanner" in another.command("key", "list").stdout
    another.process.kill()  # type: ignore[union-attr]  # SIGKILL: it can clean up nothing itself
    nothing_runs(another)

    another.start()
    assert "scanner" in another.command("key", "list").stdout
    assert another.end(signal.SIGTERM) == 0
    nothing_runs(another)


@pytest.mark.parametrize("seconds", [0.15, 0.6, 1.2, 2.5])
def test_ctrl_c_during_the_start_leaves_nothing(another: Up, seconds: float) -> None:
    process = another.launch()
    until(another.home.exists, seconds=60, what="not even begun")
    time.sleep(seconds)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, another.said()
    assert time.monotonic() - started < 30
    nothing_runs(another)


def test_a_command_given_while_the_service_starts_waits_for_its_database(another: Up) -> None:
    another.launch()
    until((another.home / "run" / "service.json").exists, seconds=60, what=another.said())
    made = another.command("key", "add", "early", "--scope", "intake")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("fr_")
    assert "early" in another.command("key", "list").stdout


def test_a_command_does_not_wait_for_ever_for_a_service_that_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_STARTING_SECONDS", 0.0)
    starting = Home(home)
    starting.open()
    try:
        with pytest.raises(ServiceNotRunning, match="its database is not ready yet"):
            running.running_settings()
        starting.publish(database_url="postgresql://x")
        with pytest.raises(ServiceNotRunning, match="its database is not ready yet"):
            running.running_settings()
        starting.publish(database_url="postgresql://x", prepared="yes")
        assert running.running_settings().home == home
    finally:
        starting.close()
    with pytest.raises(ServiceNotRunning, match="is not running on"):
        running.running_settings()


def test_it_ends_with_its_parent_where_that_is_asked_for(another: Up) -> None:
    words = [*FIRSTREAD, "up", "--until-parent-ends"]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({words!r})"],
        env=another.variables,
        cwd="/",
        stdout=subprocess.DEVNULL,
    )
    until((another.home / "run" / "service.json").exists, seconds=60, what="never started")
    parent.kill()
    parent.wait()
    until(lambda: not processes_of(another.home), seconds=60, what=str(processes_of(another.home)))


def test_a_broken_data_folder_is_told_in_one_sentence(another: Up) -> None:
    (another.home / "postgres" / "data").mkdir(parents=True)
    (another.home / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    if os.geteuid() == 0:
        os.chown(another.home / "postgres" / "data", 65534, 65534)
    refused = another.command("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"The data in {another.home}/postgres/data was made by PostgreSQL 12")
    assert refused.stderr.count("\n") == 1
    nothing_runs(another)


def test_a_home_that_is_a_file_is_told_in_one_sentence(another: Up) -> None:
    another.home.write_text("not a folder")
    refused = another.command("up")
    assert refused.returncode == 1
    assert "is a file where a folder should be" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_database_of_a_newer_version_is_told_in_one_sentence(another: Up, database: str) -> None:
    with transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    another.variables["FIRSTREAD_DATABASE_URL"] = database
    refused = another.command("up")
    assert refused.returncode == 1
    assert refused.stderr == (
        "The database was made by a newer version of FirstRead than this one; start the newer version, "
        "or restore a backup made before the upgrade.\n"
    )
    nothing_runs(another)
