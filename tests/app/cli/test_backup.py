"""`firstread backup` beside a running service, and `firstread restore` into a home that is not there yet."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.blobs import Blobs
from app.cli.backup import passphrase_of
from app.cli.samples import SAMPLES
from app.commands.backup_refusal import BackupRefused
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.app.cli.starting import Up


def test_a_running_service_is_backed_up_encrypted_and_comes_back_in_another_home(
    service: Up, another: Up, tmp_path: Path
) -> None:
    (tmp_path / "passphrase").write_text("a passphrase for tests\n")
    target = tmp_path / "backups"
    words = {"FIRSTREAD_BACKUP_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    for up in (service, another):
        for name, value in words.items():
            up.variables[name] = value
    try:
        unmounted = service.command("backup", str(target))
        made = service.command("backup", "--new", str(target))
    finally:
        del service.variables["FIRSTREAD_BACKUP_PASSPHRASE_FILE"]
    assert unmounted.returncode == 1
    assert "Is its disk mounted? " in unmounted.stderr
    assert (made.returncode, made.stderr) == (0, "")
    assert " is whole, encrypted: " in made.stdout
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    checked = another.command("restore", "--check", str(target))
    assert (checked.returncode, checked.stderr) == (0, "")
    min((target / "blobs").glob("*/*")).unlink()
    refused = another.command("restore", str(target))
    assert refused.returncode == 1
    assert "is missing from the backup. `firstread backup --verify` copies anew" in refused.stderr
    restored = another.command("restore", "--without-damaged", str(target))
    assert restored.returncode == 3
    assert restored.stderr.startswith(
        "1 blobs are damaged in the backup and were not restored.\nThe blob of "
    )
    assert "was restored and every hash compared" in restored.stdout
    again = another.command("restore", str(target))
    assert again.returncode == 1
    assert again.stderr == "The database is not empty; a backup is restored into an empty one only.\n"
    assert not (another.home / "run" / "service.json").exists()
    with EmbeddedPostgres(another.home / "postgres") as server:
        with create_engine(server.url, poolclass=NullPool).connect() as connection:
            studies = connection.execute(text("SELECT count(*) FROM studies")).scalar_one()
            images = connection.execute(text("SELECT sha256 FROM images")).scalars().all()
        assert studies >= len(SAMPLES)
    assert sum(not Blobs(another.home / "blobs").has(sha256) for sha256 in images) <= 1


@pytest.mark.parametrize("part", ["up", "migrate", "prepare", "web", "worker", "duty", "trainer", "dimse"])
def test_no_part_starts_on_half_a_restore(part: str, another: Up) -> None:
    (another.home / "blobs").mkdir(parents=True)
    (another.home / "blobs" / "restoring").write_text("2026-11-23T02-00-00.000000Z")
    refused = another.command(part)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The restore of the backup 2026-11-23T02-00-00.000000Z into ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "file", "said"),
    [
        (None, "missing", r"^FIRSTREAD_BACKUP_PASSPHRASE_FILE cannot be read: No such file or directory\.$"),
        (None, "binary", r"^FIRSTREAD_BACKUP_PASSPHRASE_FILE cannot be read: it is no text\.$"),
        (None, "empty", r"^The passphrase of backups is empty"),
        ("", None, r"^The passphrase of backups is empty"),
        ("a passphrase", "good", r"^Set either FIRSTREAD_BACKUP_PASSPHRASE or"),
    ],
)
def test_a_passphrase_that_cannot_be_had_is_no_unencrypted_backup(
    given: str | None, file: str | None, said: str, home: Path
) -> None:
    (home / "binary").write_bytes(b"\xff\xfe\xff")
    (home / "empty").write_text("\n")
    (home / "good").write_text("a passphrase for tests\n")
    configured = Settings(
        backup_passphrase=None if given is None else SecretStr(given),
        backup_passphrase_file=home / file if file else None,
    )
    with pytest.raises(BackupRefused, match=said):
        passphrase_of(configured)
    assert passphrase_of(Settings(backup_passphrase_file=home / "good")) == "a passphrase for tests"
    assert passphrase_of(Settings()) is None


def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(service: Up, tmp_path: Path) -> None:
    assert service.command("backup", "--new", str(tmp_path / "b")).returncode == 0
    for words, said in (
        (("backup", "--new", "/proc/nowhere"), "No backup was made: "),
        (("restore", str(tmp_path)), f"{tmp_path} is no backup of FirstRead"),
        (("restore", str(tmp_path / "b")), "FirstRead is running already on "),
    ):
        refused = service.command(*words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(said)
        assert refused.stderr.count("\n") == 1
