"""Commands beside a running service: people, keys, the doctor, the test sender."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from app.cli.samples import SAMPLES, sample_bytes
from app.dicom.write import write_phantom
from tests.app.cli.starting import Up, until


@pytest.fixture(scope="session")
def key(service: Up) -> str:
    """An API key that may send and read."""
    made = service.command("key", "add", "tests", "--scope", "intake,read")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_a_new_key_is_all_that_is_printed_and_opens_the_api(service: Up, key: str) -> None:
    assert re.fullmatch(r"fr_[A-Za-z0-9_-]{40,}", key)
    assert httpx.get(f"{service.url}/api/v1/worklist").status_code == 401
    answer = httpx.get(f"{service.url}/api/v1/worklist", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


def test_a_revoked_key_opens_nothing(service: Up) -> None:
    secret = service.command("key", "add", "short lived", "--scope", "read").stdout.strip()
    assert service.command("key", "revoke", "short lived").returncode == 0
    answer = httpx.get(f"{service.url}/api/v1/worklist", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
    assert "revoked" in service.command("key", "list").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("key", "add", "x", "--scope", "everything"),
            "There is no scope everything; choose from intake, read",
        ),
        (("key", "add", "x", "--scope", ","), "There is no scope ','; choose from intake, read"),
        (("key", "revoke", "nobody"), "There is no key nobody."),
        (("user", "add", "x", "--role", "king"), "There is no role king; choose from radiologist"),
        (("user", "disable", "nobody"), "There is no user nobody."),
        (("user", "disable", "admin"), "This is the last administrator"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(service: Up, words: tuple[str, ...], said: str) -> None:
    refused = service.command(*words)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith(said)
    assert refused.stderr.count("\n") == 1


def test_a_new_user_gets_a_one_time_password_and_can_be_kept_out(service: Up) -> None:
    added = service.command("user", "add", "dr.x", "--role", "radiologist,auditor", "--name", "Dr. X")
    assert re.fullmatch(r"[A-Za-z0-9_-]{12,}\n", added.stdout)
    again = service.command("user", "password", "dr.x")
    assert re.fullmatch(r"[A-Za-z0-9_-]{12,}\n", again.stdout)
    assert again.stdout != added.stdout
    assert service.command("user", "disable", "dr.x").returncode == 0
    listed = service.command("user", "list").stdout
    assert re.search(r"dr\.x .*disabled", listed)
    enabled = service.command("user", "enable", "dr.x")
    assert re.fullmatch(r"[A-Za-z0-9_-]{12,}\n", enabled.stdout)
    assert "disabled" not in service.command("user", "list").stdout


def test_commands_without_a_service_say_how_to_start_one(another: Up) -> None:
    for words in (("key", "list"), ("user", "add", "x"), ("send", "--phantoms", "1", "--key", "fr_x")):
        refused = another.command(*words)
        assert refused.returncode == 1
        assert refused.stderr.startswith(
            f"FirstRead is not running on {another.home}. Start it with `make run`"
        )


def test_the_doctor_finds_a_running_service_well(service: Up) -> None:
    # the workers that start last report within seconds
    until(lambda: service.command("doctor").returncode == 0, seconds=60, what="something stays wrong")
    told = service.command("doctor")
    assert {line.split()[0] for line in told.stdout.splitlines()} == {"ok"}
    assert re.search(r"^ok    web server +http.* is ready$", told.stdout, re.MULTILINE)


def test_the_doctor_says_what_is_wrong_and_what_to_do(another: Up) -> None:
    another.variables["FIRSTREAD_BUNDLE"] = "/nowhere.bundle"
    told = another.command("doctor")
    assert told.returncode == 1
    assert re.search(r"^WRONG bundle .*nowhere", told.stdout, re.MULTILINE)
    assert f"WRONG service                FirstRead is not running on {another.home}; start it" in told.stdout


def test_the_sender_sends_phantoms_files_and_folders(service: Up, key: str, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "one.dcm").write_bytes(write_phantom(seed=901, rows=300, columns=250))
    (tmp_path / "two.dcm").write_bytes(write_phantom(seed=902, rows=300, columns=250))
    service.variables["FIRSTREAD_API_KEY"] = key
    sent = service.command("send", str(tmp_path), "--phantoms", "2")
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("4 of 4 files accepted in ")
    assert sent.stderr == ""


def test_the_sender_tells_of_each_file_that_was_refused(service: Up, key: str, tmp_path: Path) -> None:
    (tmp_path / "fine.dcm").write_bytes(write_phantom(seed=903, rows=300, columns=250))
    (tmp_path / "page.dcm").write_text("<html>not an image</html>")
    sent = service.command("send", str(tmp_path), "--key", "-", given=f"{key}\n")
    assert sent.returncode == 2
    assert sent.stdout.startswith("1 of 2 files accepted in ")
    assert str(tmp_path / "page.dcm") in sent.stderr
    assert sent.stderr.count("\n") == 1


def test_the_sender_tells_when_the_key_is_missing_or_wrong(service: Up, tmp_path: Path) -> None:
    service.variables.pop("FIRSTREAD_API_KEY", None)
    assert service.command("send", "--phantoms", "1").stderr.startswith("An API key is needed")
    refused = service.command("send", "--phantoms", "1", "--key", "fr_wrong")
    assert refused.returncode == 2
    assert "HTTP 401" in refused.stderr


def test_every_sample_is_a_phantom_that_says_so_and_is_read_or_withheld(service: Up, key: str) -> None:
    def studies() -> list[dict[str, object]]:
        answer = httpx.get(f"{service.url}/api/v1/worklist", headers={"Authorization": f"Bearer {key}"})
        found: list[dict[str, object]] = answer.json()["studies"]
        return [study for study in found if study["is_sample"]]

    until(
        lambda: all(study["state"] not in ("admitted", "screening") for study in studies()),
        seconds=60,
        what="samples are not read",
    )
    assert len(studies()) == len(SAMPLES)
    assert [study["state"] for study in studies()].count("withheld") >= 1
    assert [study["state"] for study in studies()].count("failed") == 0


def test_a_sample_has_the_same_bytes_every_time() -> None:
    assert sample_bytes(3) == sample_bytes(3)
    assert sample_bytes(3) != sample_bytes(2)
