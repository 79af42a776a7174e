"""PostgreSQL's own programs for its copy: what `pg_dump` says of a snapshot, and `pg_restore` of that."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import make_url

from app.commands.backup_refusal import BackupRefused
from app.commands.backup_seal import CHUNK

_LOCK_WAIT = "60s"
"""A migration holds the tables for seconds; what holds them longer is told."""


class Programs:
    """`pg_dump` and `pg_restore` in `folder`, for the database at `url`."""

    def __init__(self, folder: Path, *, url: str) -> None:
        self._folder = folder
        self._url = url

    def dump(self, *, snapshot: str) -> Iterator[bytes]:
        """The database as it is in the exported snapshot, in pg_dump's custom format.

        Raises BackupRefused with its reason when it fails, at the latest at the end.
        """
        options = ("--format=custom", f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT}")
        with self._started("pg_dump", options, stdout=subprocess.PIPE) as (process, errors):
            assert process.stdout is not None
            while chunk := process.stdout.read(CHUNK):
                yield chunk
            _check(process, errors, "The database could not be copied")

    def load(self, dump: Iterable[bytes]) -> None:
        """The database holds what the dump says; after an error of either side it holds nothing of it."""
        # comments belong to the extensions, which another user may have made
        options = (
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
        )
        with self._started("pg_restore", options, stdin=subprocess.PIPE) as (process, errors):
            assert process.stdin is not None
            try:
                for chunk in dump:
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:  # it says why
                pass
            _check(process, errors, "The database could not be restored")

    @contextmanager
    def _started(
        self, name: str, options: Sequence[str], *, stdin: int | None = None, stdout: int | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        with tempfile.TemporaryDirectory(prefix="firstread-") as made, tempfile.TemporaryFile() as errors:
            command: list[str | Path] = [
                self._folder / name,
                *options,
                f"--dbname={self._place(Path(made))}",
                "--no-password",
            ]
            try:
                process = subprocess.Popen(
                    command, stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=errors
                )
            except OSError as error:
                raise BackupRefused(f"{name} could not be started: {error.strerror or error}.") from error
            try:
                yield process, errors
            finally:
                process.kill()  # does nothing to one that has ended; one cut off commits nothing
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        try:
                            pipe.close()
                        except BrokenPipeError:
                            pass  # it has ended with bytes unread; its exit code and its words tell why

    def _place(self, folder: Path) -> str:
        """libpq's words for the database; the password is in a file, as everybody can read a command line."""
        url = make_url(self._url)
        words = dict(url.get_dialect()().create_connect_args(url)[1])
        password = words.pop("password", None)
        if password is not None:
            file = folder / "password"
            file.touch(mode=0o600)
            escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
            file.write_text(f"*:*:*:*:{escaped}\n")
            words["passfile"] = str(file)
        words.pop("context", None)  # psycopg's own
        return " ".join(f"{name}='{_escaped(str(value))}'" for name, value in words.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _check(process: subprocess.Popen[bytes], errors: IO[bytes], what: str) -> None:
    if process.wait() == 0:
        return
    errors.seek(0)
    # the lines below an error quote rows, which are patient data
    said = [line for line in errors.read().decode(errors="replace").splitlines() if "error:" in line.lower()]
    reason = said[0].partition("error:")[2].strip() if said else f"it ended with {process.returncode}"
    raise BackupRefused(f"{what}: {reason.rstrip('.')}.")
