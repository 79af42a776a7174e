"""An embedded Valkey (Redis's protocol): the bell between the web process and the workers."""

from __future__ import annotations

import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from app.embedded.binaries import valkey_server
from app.embedded.child import Child
from app.embedded.refusal import CannotStart, StartCancelled, check_disk_space, disk_full, from_os_error
from app.embedded.sockets import remove_socket_folder, socket_folder

SOCKET_NAME = "valkey.sock"
_STOP = ((signal.SIGTERM, 10.0),)


class EmbeddedValkey:
    """Valkey with its data in `folder`, as this process's child, on a unix socket for this user alone.

    What it holds can be lost without harm (the database is the truth), so data it cannot read is moved aside
    and it starts empty; `moved_aside` then names where. Start it from the main thread: on Linux it ends when
    that thread does.
    """

    def __init__(self, folder: Path, *, log: Path | None = None) -> None:
        self._folder = folder
        self._log = log
        self._child: Child | None = None
        self._sockets: Path | None = None
        self.moved_aside: Path | None = None

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator[EmbeddedValkey]:
        """A running, empty Valkey that leaves nothing behind; for tests."""
        with tempfile.TemporaryDirectory(prefix="firstread-vk-") as top, cls(Path(top) / "valkey") as server:
            yield server

    @property
    def url(self) -> str:
        """Celery's address of the broker; only while it runs."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def socket(self) -> Path:
        """The unix socket; only while it runs."""
        if self._sockets is None:
            raise RuntimeError("Valkey has no address before it is started")
        return self._sockets / SOCKET_NAME

    @property
    def log(self) -> Path:
        """Where the server writes what happens."""
        return self._log if self._log is not None else self._folder / "valkey.log"

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def __enter__(self) -> EmbeddedValkey:
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
        """It answers PING; returns `url`. Raises CannotStart with a sentence, StartCancelled; nothing runs
        then.
        """
        check_disk_space(self._folder)
        try:
            if not self._try(cancelled):
                self._move_aside()
                if not self._try(cancelled):
                    raise CannotStart(self._sentence())
        except OSError as error:
            self.halt()
            raise from_os_error(error, self._folder) from error
        except BaseException:
            self.halt()
            raise
        return self.url

    def halt(self) -> None:
        """It does not run, and the next `start` gives it the same address. What it held is on disk."""
        if self._child is not None:
            self._child.stop(_STOP)
            self._child = None

    def stop(self) -> None:
        """It does not run and has no address."""
        self.halt()
        remove_socket_folder(self._folder / "s")
        self._sockets = None

    def _try(self, cancelled: Callable[[], bool]) -> bool:
        """Whether it came up; a program that ended by itself is False."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._sockets = socket_folder(self._folder / "s", socket_name=SOCKET_NAME)
        self.socket.unlink(missing_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        command: list[str | Path] = [
            valkey_server(),
            "--port",
            "0",
            "--unixsocket",
            self.socket,
            "--unixsocketperm",
            "700",
        ]
        command += [
            "--dir",
            self._folder.resolve(),
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
        ]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no", "--enable-debug-command", "no"]
        self._child = Child(
            command,
            log=self.log,
            death_signal=signal.SIGTERM,
            cwd=Path("/"),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
        while not _answers(self.socket):
            if self._child.exit_code() is not None:
                self.halt()
                return False
            if cancelled():
                raise StartCancelled
            time.sleep(0.01)
        return True

    def _move_aside(self) -> None:
        """The folder that could not be read is out of the way, unless the cause was another one."""
        if "No space left on device" in self._said():
            raise CannotStart(disk_full(self._folder))
        if not (self._folder / "appendonlydir").exists():
            raise CannotStart(self._sentence())
        aside = self._folder.with_name(f"{self._folder.name}-unreadable-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        self._folder.rename(aside)
        self.moved_aside = aside

    def _said(self) -> str:
        log = self.log if self.log.exists() or self.moved_aside is None else self.moved_aside / self.log.name
        try:
            with log.open("rb") as stream:
                stream.seek(self._log_start)
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def _sentence(self) -> str:
        lines = [line for line in self._said().splitlines() if line.strip()] or ["it ended without a word"]
        return f"Valkey did not start: {lines[-1].strip().rstrip('.')}; {self.log} says more."


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")  # "-LOADING" while it reads its log
    except OSError:
        return False
