"""An embedded PostgreSQL: made on first use, durable, reachable through a unix socket by this user alone."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from app.embedded.account import Account, give, unprivileged_account
from app.embedded.binaries import postgres_programs
from app.embedded.child import Child, command_line, process_alive
from app.embedded.placement import Placement, noted, place
from app.embedded.refusal import AlreadyRunning, CannotStart, check_disk_space, disk_full, from_os_error
from app.embedded.sockets import socket_folder

MAJOR_VERSION = "18"
USER = "app"
DATABASE = "firstread"
SOCKET_NAME = ".s.PGSQL.5432.lock"
_STOP_FAST = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class StartCancelled(Exception):
    """Whoever asked for the start no longer wants it; what was started has been stopped."""


class EmbeddedPostgres:
    """PostgreSQL on the data in `folder`, as this process's child.

    `folder` is made on first use and belongs to this class alone. Without `fsync` commits do not survive a
    power cut: for tests. Start it from the main thread: on Linux it ends when the thread that started it
    does.
    """

    def __init__(self, folder: Path, *, log: Path | None = None, fsync: bool = True) -> None:
        self._asked = folder
        self._log = log
        self._fsync = fsync
        self._child: Child | None = None
        self._account: Account | None = None
        self._placement: Placement | None = None
        self._sockets: Path | None = None

    @classmethod
    @contextmanager
    def temporary(cls, *, fsync: bool = False) -> Iterator[EmbeddedPostgres]:
        """A running PostgreSQL with empty data that leaves nothing behind; for tests, also for root."""
        top = Path(tempfile.mkdtemp(prefix="firstread-pg-"))
        try:
            top.chmod(0o711)
            with cls(top / "postgres", fsync=fsync) as server:
                yield server
        finally:
            shutil.rmtree(top, ignore_errors=True)

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the database, through psycopg; only while it runs."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same for another database of this server, such as `postgres`."""
        if self._sockets is None:
            raise RuntimeError("PostgreSQL has no address before it is started")
        return f"postgresql+psycopg://{USER}@/{quote(database, safe='')}?host={quote(str(self._sockets))}"

    @property
    def log(self) -> Path:
        """Where the server writes what happens."""
        return self._log if self._log is not None else self._asked / "postgres.log"

    @property
    def outside(self) -> Path | None:
        """Where the data lies when it is not in the folder asked for (known once started)."""
        return self._placement.folder if self._placement is not None and self._placement.outside else None

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def exit_code(self) -> int | None:
        """None while it runs or was never started."""
        return None if self._child is None else self._child.exit_code()

    def start(self, *, cancelled: Callable[[], bool] = lambda: False) -> str:
        """It answers queries; returns `url`. Recovery after a crash may take its time: there is no time-out,
        but `cancelled` is asked often, and true raises StartCancelled.

        Raises CannotStart with a sentence (another version's data, wrong owner, full disk, ...); nothing
        runs then.
        """
        check_disk_space(self._asked)
        try:
            data = self._prepare(cancelled)
            self._child = self._launch(data)
            self._await_ready(data, cancelled)
        except OSError as error:
            self.stop()
            raise from_os_error(error, self._asked) from error
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """It does not run. Open transactions are rolled back, everything committed is on disk."""
        if self._child is not None:
            self._child.stop(_STOP_FAST)
            self._child = None
        if self._sockets is not None:
            if self._placement is None or self._placement.folder not in self._sockets.parents:
                shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _prepare(self, cancelled: Callable[[], bool]) -> Path:
        """The cluster exists and nobody else runs it; returns its folder."""
        remembered_owner = self._data_folder_before_placing()
        self._account = unprivileged_account(owner_of=remembered_owner)
        self._placement = place(self._asked, self._account)
        base = self._placement.folder
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._programs = postgres_programs(account=self._account, copies=base)
        data = base / "data"
        if data.exists():
            self._check_cluster(data)
            self._check_unused(data)
        else:
            self._make_cluster(data, cancelled)
        self._sockets = socket_folder(base / "s", socket_name=SOCKET_NAME, account=self._account)
        return data

    def _data_folder_before_placing(self) -> Path:
        try:
            outside = noted(self._asked)
        except OSError:
            outside = None
        return (outside or self._asked) / "data"

    def _check_cluster(self, data: Path) -> None:
        if not data.is_dir():
            raise CannotStart(f"{data} is a file where PostgreSQL's data folder should be; move it away.")
        runs_as = os.geteuid() if self._account is None else self._account.uid
        if data.stat().st_uid != runs_as:
            raise CannotStart(
                f"PostgreSQL's data in {data} belongs to another user; start firstread as the user who did "
                "before, "
                "or give the folder to this user with chown -R."
            )
        try:
            version = (data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise CannotStart(
                f"{data} is not a PostgreSQL data folder (PG_VERSION is missing); restore it from a backup, "
                "or move it away to start with an empty database."
            ) from None
        if version != MAJOR_VERSION:
            raise CannotStart(
                f"The data in {data} was made by PostgreSQL {version[:20] or 'unknown'} and this is "
                f"PostgreSQL {MAJOR_VERSION}; "
                "restore a backup made with it into an empty folder, or move the data away."
            )
        if (data.stat().st_mode & 0o777) not in (0o700, 0o750):
            data.chmod(0o700)  # PostgreSQL refuses a folder that others may read

    def _check_unused(self, data: Path) -> None:
        """Waits out a server that is shutting down, refuses a running one, and forgets one that is long
        dead.
        """
        note = data / "postmaster.pid"
        deadline = time.monotonic() + 15.0
        while (pid := _noted_pid(note)) is not None:
            if not process_alive(pid) or "postgres" not in command_line(pid):
                # PostgreSQL would take any process with that number for the old server, as containers often
                # have one
                note.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise AlreadyRunning(
                    f"Another PostgreSQL (process {pid}) is running on {data}; stop it first."
                )
            time.sleep(0.05)

    def _make_cluster(self, data: Path, cancelled: Callable[[], bool]) -> None:
        """`data` holds a new cluster with an empty database; an interruption leaves no `data` at all."""
        new = data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        give(self._account, new)
        command: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            new,
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--data-checksums",
        ]
        # the builtin provider sorts and folds the same on every system and for ever
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._run([*command, *(() if self._fsync else ("--no-sync",))], cancelled)
        single: list[str | Path] = [
            self._programs / "postgres",
            "--single",
            "-D",
            new,
            "-c",
            f"fsync={'on' if self._fsync else 'off'}",
        ]
        script = f'printf "CREATE DATABASE {DATABASE};\\n" | "$@" postgres'
        self._run(["/bin/sh", "-c", script, "sh", *single], cancelled)
        new.rename(data)
        _sync_folder(data.parent)

    def _run(self, command: list[str | Path], cancelled: Callable[[], bool]) -> None:
        before = self.log.stat().st_size if self.log.exists() else 0
        child = Child(command, log=self.log, account=self._account, cwd=Path("/"), env=_ENVIRONMENT)
        try:
            while child.wait(0.05) is None:
                if cancelled():
                    raise StartCancelled
        finally:
            exit_code = child.stop(())
        if exit_code != 0:
            raise CannotStart(self._sentence("PostgreSQL's data could not be made", before))

    def _launch(self, data: Path) -> Child:
        assert self._sockets is not None
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "jit": "off",
            # DETAIL lines quote the values of a row, and logs hold no patient data
            "log_error_verbosity": "terse",
            "cluster_name": "firstread",
        }
        command: list[str | Path] = [self._programs / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Child(
            command,
            log=self.log,
            death_signal=signal.SIGQUIT,
            account=self._account,
            cwd=Path("/"),
            env=_ENVIRONMENT,
        )

    def _await_ready(self, data: Path, cancelled: Callable[[], bool]) -> None:
        assert self._child is not None
        while True:
            if self._child.exit_code() is not None:
                raise CannotStart(self._sentence("PostgreSQL did not start", self._log_start))
            try:
                lines = (data / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) >= 8 and lines[0].strip() == str(self._child.pid) and lines[7].strip() == "ready":
                return
            if cancelled():
                raise StartCancelled
            time.sleep(0.01)

    def _sentence(self, what: str, log_from: int) -> str:
        """What the log says since `log_from`, in one sentence."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(log_from)
                lines = stream.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        if any("No space left on device" in line or "Disk quota exceeded" in line for line in lines):
            return disk_full(self._asked)
        telling = [
            line for line in lines if any(word in line for word in ("FATAL:", "PANIC:", "error:", "ERROR:"))
        ]
        reason = (telling or lines or ["it ended without a word"])[-1]
        for word in ("FATAL:", "PANIC:", "error:", "ERROR:"):
            reason = reason.rpartition(word)[2].strip() if word in reason else reason
        return f"{what}: {reason.rstrip('.')}; {self.log} says more."


def _noted_pid(note: Path) -> int | None:
    try:
        return int(note.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
