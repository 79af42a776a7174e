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
from app.embedded.child import Child
from app.embedded.cluster import check_cluster, check_unused, is_ready, log_size, sentence
from app.embedded.placement import Placement, noted, place
from app.embedded.refusal import CannotStart, StartCancelled, check_disk_space, from_os_error
from app.embedded.sizes import MEGABYTE
from app.embedded.sockets import remove_socket_folder, socket_folder

USER = "app"
DATABASE = "firstread"
SOCKET_NAME = ".s.PGSQL.5432.lock"
_STOP_FAST = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgres:
    """PostgreSQL on the data in `folder`, as this process's child.

    `folder` is made on first use and belongs to this class alone. Without `fsync` commits do not survive a
    power cut: for tests. Start it from the main thread: on Linux it ends when the thread that started it
    does. `connections` are allowed at once; `shared_buffers`, in bytes, is its own cache.
    """

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        fsync: bool = True,
        connections: int = 100,
        shared_buffers: int = 128 * MEGABYTE,
    ) -> None:
        self._asked = folder
        self._sizes = {
            "max_connections": str(connections),
            "shared_buffers": f"{shared_buffers // MEGABYTE}MB",
        }
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
            self.halt()
            raise from_os_error(error, self._asked) from error
        except BaseException:
            self.halt()
            raise
        return self.url

    def halt(self) -> None:
        """It does not run, and the next `start` gives it the same address. Open transactions are rolled back,
        everything committed is on disk.
        """
        if self._child is not None:
            self._child.stop(_STOP_FAST)
            self._child = None

    def stop(self) -> None:
        """It does not run and has no address."""
        self.halt()
        if self._placement is not None:
            remove_socket_folder(self._placement.folder / "s")
        self._sockets = None

    def _prepare(self, cancelled: Callable[[], bool]) -> Path:
        """The cluster exists and nobody else runs it; returns its folder."""
        self._account = unprivileged_account(owner_of=(noted(self._asked) or self._asked) / "data")
        self._placement = place(self._asked, self._account)
        base = self._placement.folder
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._programs = postgres_programs(account=self._account, copies=base)
        data = base / "data"
        if data.exists():
            check_cluster(data, account=self._account)
            check_unused(data)
        else:
            self._make_cluster(data, cancelled)
        self._sockets = socket_folder(base / "s", socket_name=SOCKET_NAME, account=self._account)
        return data

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
        before = log_size(self.log)
        child = Child(command, log=self.log, account=self._account, cwd=Path("/"), env=_ENVIRONMENT)
        try:
            while child.wait(0.05) is None:
                if cancelled():
                    raise StartCancelled
        finally:
            exit_code = child.stop(())
        # the single-user server tells an error in its log and ends as if nothing had happened
        if exit_code != 0 or " ERROR: " in self.log.read_text(errors="replace")[before:]:
            raise CannotStart(self._sentence("PostgreSQL's data could not be made", before))

    def _launch(self, data: Path) -> Child:
        assert self._sockets is not None
        self._log_start = log_size(self.log)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "jit": "off",
            # to start a process for a part of a page's question takes longer than the part
            "max_parallel_workers_per_gather": "0",
            # DETAIL lines quote the values of a row, and logs hold no patient data
            "log_error_verbosity": "terse",
            "cluster_name": "firstread",
            **self._sizes,
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
        while not is_ready(data, self._child.pid):
            if self._child.exit_code() is not None:
                raise CannotStart(self._sentence("PostgreSQL did not start", self._log_start))
            if cancelled():
                raise StartCancelled
            time.sleep(0.01)

    def _sentence(self, what: str, since: int) -> str:
        return sentence(what, log=self.log, since=since, folder=self._asked)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
