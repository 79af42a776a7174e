"""A child process that ends with its parent: own process group, death signal, log file, ordered stop."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from app.embedded.account import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _end_with_parent(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """What the child runs between fork and exec; ctypes is loaded before, because little is safe there."""

    def prepare() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # the parent died before the line above took effect
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return prepare


class Child:
    """One running program. Starting it twice is a mistake; a restart is a new Child.

    It leads a process group of its own, so that a Ctrl-C at the terminal reaches only this process, which
    then stops the children in its own order. Both of its outputs go to `log`, or standard output to the
    descriptor `output`. On Linux the kernel sends it `death_signal` when the *thread* that made it ends:
    create children from the main thread.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: Path | None,
        death_signal: signal.Signals = signal.SIGKILL,
        account: Account | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        output: int | None = None,
    ) -> None:
        sink: IO[bytes] | int = subprocess.DEVNULL
        if log is not None:
            sink = os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
        try:
            self._process = subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=sink if output is None else output,
                stderr=sink,
                cwd=cwd,
                env=env,
                pass_fds=pass_fds,
                process_group=0,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
                umask=0o077,
                # the death signal is lost when credentials change, and subprocess runs this after changing
                # them
                preexec_fn=_end_with_parent(death_signal, os.getpid()),  # noqa: PLW1509
            )
        finally:
            if not isinstance(sink, int):
                sink.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs `seconds` later."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def send(self, what: signal.Signals) -> None:
        """Signals the leader alone; a child that has ended already is no error."""
        if self._process.poll() is None:
            self._process.send_signal(what)

    def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> int:
        """Nothing of its process group runs afterwards; returns the leader's exit code.

        Each step is a signal and the seconds to wait for it to work; SIGKILL to the whole group comes last.
        """
        for what, seconds in steps:
            self.send(what)
            if self.wait(seconds) is not None:
                break
        self._signal_group(signal.SIGKILL)
        exit_code = self._process.wait()
        deadline = time.monotonic() + 5.0
        while self._signal_group(signal.SIGKILL) and time.monotonic() < deadline:
            time.sleep(0.005)
        return exit_code

    def _signal_group(self, what: signal.Signals) -> bool:
        """Whether any process of the group is left to signal; reaps those that became children of this
        process.
        """
        try:
            os.killpg(self.pid, what)
        except (ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
            return False
        if self._process.returncode is not None:
            try:
                os.waitpid(-self.pid, os.WNOHANG)
            except ChildProcessError:  # none of the group became ours, so there is none to reap
                pass
        return True


def process_alive(pid: int) -> bool:
    """Whether `pid` is a process that can still do something; a zombie cannot."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return sys.platform != "linux" or Path(f"/proc/{pid}").exists()
    return bool(state) and state[0] not in ("Z", "X")


def command_line(pid: int) -> str:
    """The command line of a process, "" when there is none to read."""
    if sys.platform == "linux":
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
        except OSError:
            return ""
    listed = subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()
