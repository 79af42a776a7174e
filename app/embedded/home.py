"""The folder of one embedded service: where its parts lie, who holds it, and what commands find there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO

from app.embedded.refusal import AlreadyRunning, check_disk_space, from_os_error

LARGEST_LOG_BYTES = 20 * 1024 * 1024
_MEMORY = Path("/dev/shm")  # noqa: S108, in a folder of our own
_ENOUGH_MEMORY_BYTES = 16 * 1024 * 1024


class Home:
    """FIRSTREAD_HOME, held by this process from `open` to `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.run = self.folder / "run"
        self.logs = self.folder / "log"
        self.postgres = self.folder / "postgres"
        self.valkey = self.folder / "valkey"
        self.service_file = self.run / "service.json"
        self._lock: IO[str] | None = None
        self._in_memory: list[Path] = []

    def open(self) -> None:
        """The folders exist, there is room on the disk, and no other process holds them.

        Raises CannotStart with a sentence (AlreadyRunning when another one does).
        """
        check_disk_space(self.folder)
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True, mode=0o711)
            for folder in (self.run, self.logs):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
            lock = (self.run / "lock").open("a+")
        except OSError as error:
            raise from_os_error(error, self.folder) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise AlreadyRunning(
                f"FirstRead is running already on {self.folder}{f' (process {holder})' if holder else ''}; "
                "stop that one first, or set FIRSTREAD_HOME to another folder."
            ) from None
        try:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self._lock = lock
            self.service_file.unlink(missing_ok=True)  # left by one that was killed
        except OSError as error:
            lock.close()
            raise from_os_error(error, self.folder) from error

    def publish(self, **addresses: str) -> None:
        """Commands of this user find the running service by `addresses`; nobody else can read them."""
        new = self.service_file.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(addresses, stream)
        new.replace(self.service_file)

    def empty_run_folder(self, name: str) -> Path:
        """A folder for what matters only while this service runs, without what the last one left there."""
        folder = self.run / name
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, folder) from error
        return folder

    def folder_in_memory(self, name: str) -> Path:
        """As `empty_run_folder`, but in memory until `close`, where this machine has a place for that: a disk
        that is full ends no process that has mapped a file there (SIGBUS).
        """
        whose = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        folder = _MEMORY / f"firstread-{os.getuid()}-{whose}-{name}"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            if shutil.disk_usage(_MEMORY).free < _ENOUGH_MEMORY_BYTES:
                return self.empty_run_folder(name)
            folder.mkdir(mode=0o700)  # fails where somebody else has put something there
        except OSError:
            return self.empty_run_folder(name)
        self._in_memory.append(folder)
        return folder

    def close(self) -> None:
        """Others may hold the folder, and find no service."""
        for folder in self._in_memory:
            shutil.rmtree(folder, ignore_errors=True)
        if self._lock is not None:
            self.service_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        """The log file of one part."""
        return self.logs / f"{name}.log"

    def trim_logs(self) -> None:
        """No log is larger than LARGEST_LOG_BYTES; what was in it is in `NAME.log.1`.

        The file is copied and cut rather than renamed, because the programs that write to it keep it open.
        """
        for log in self.logs.glob("*.log"):
            try:
                if log.stat().st_size > LARGEST_LOG_BYTES:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)
            except OSError:
                continue  # a full disk is told by those who need it


def held(folder: Path) -> bool:
    """Whether some process holds the home `folder`, so that its service.json is no leftover."""
    try:
        with (folder / "run" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
