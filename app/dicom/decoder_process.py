"""One decoder child as its pool sees it: start, ask within a time limit, end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain.sentence import sentence
from app.errors import DecodeFailed

_SECONDS_TO_START = 60.0
_SECONDS_TO_END = 2.0
_LONGEST_ANSWER = 4 * 2**20
_KEPT_BYTES = 32 * 2**20
"""The result file keeps the memory of results up to this size, which the next image then need not ask for."""
NONSENSE = sentence("The decoder gave an answer that makes no sense; the image's data are probably damaged.")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """`fields` as the child named them, `buffers` as it wrote them."""

    fields: dict[str, Any]
    buffers: list[bytearray]


class ChildLost(Exception):
    """The child crashed, hung or ran out of memory; `sentence` says which. It must be ended."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class DecoderProcess:
    """A running child, ready for jobs. Used by one thread, whose death ends the child too."""

    def __init__(self, *, memory_bytes: int) -> None:
        self.served = 0
        self._busy = False
        self._result_fd = _anonymous_file()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-s", "-m", "app.dicom.decoder_child"),
                    *(str(self._result_fd), str(memory_bytes), str(os.getpid())),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(self._result_fd,),
                cwd="/",
                bufsize=0,
                # Nothing of this process's environment: it may hold secrets, and the child decodes hostile
                # bytes.
                env={"PYTHONPATH": str(_PACKAGE_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError:
            os.close(self._result_fd)
            raise
        self._unread = b""
        try:
            self._read_line(time.monotonic() + _SECONDS_TO_START)
        except ChildLost:
            self.end()
            raise

    @property
    def process_id(self) -> int:
        """The child's process id."""
        return self._process.pid

    def alive(self) -> bool:
        """True while the child runs."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], *, seconds: float) -> Answer:
        """Give the child a job and wait for its answer.

        Raises DecodeFailed with the child's sentence when it refuses the image, ChildLost when it crashes,
        takes longer than `seconds` or runs out of memory.
        """
        self.served += 1
        deadline = time.monotonic() + seconds
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise ChildLost(self._epitaph()) from error
        line = self._read_line(deadline)
        try:
            fields: dict[str, Any] = dict(json.loads(line))
            lengths = [int(length) for length in fields.pop("buffers", ())]
        except (ValueError, TypeError) as error:
            raise ChildLost(NONSENSE) from error
        if "refused" in fields:
            raise DecodeFailed(str(fields["refused"]))
        if "out_of_memory" in fields:
            raise ChildLost("The image needs more memory to decode than is allowed here.")
        return Answer(fields, self._read_buffers(lengths))

    def end(self) -> None:
        """End the child, at once if it does not go by itself, and give back what it held. May be called
        twice.
        """
        if self._result_fd < 0:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        idle = self._process.poll() is None and not self._busy
        self._process.stdin.close()
        if idle:
            try:
                self._process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                self._process.kill()
        else:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        os.close(self._result_fd)
        self._result_fd = -1

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN | select.POLLHUP)
        self._busy = True
        started = time.monotonic()
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise ChildLost(f"Decoding took longer than the {deadline - started:.0f} seconds allowed.")
            chunk = os.read(self._process.stdout.fileno(), 2**16)
            if not chunk or len(self._unread) > _LONGEST_ANSWER:
                raise ChildLost(self._epitaph())
            self._unread += chunk
        self._busy = False
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _read_buffers(self, lengths: list[int]) -> list[bytearray]:
        if any(length < 0 for length in lengths) or sum(lengths) > os.fstat(self._result_fd).st_size:
            raise ChildLost(NONSENSE)
        buffers, position = [], 0
        for length in lengths:
            buffer = bytearray(length)
            view, read = memoryview(buffer), 0
            while read < length:
                count = os.preadv(self._result_fd, [view[read:]], position + read)
                if count == 0:
                    raise ChildLost(NONSENSE)
                read += count
            position += length
            buffers.append(buffer)
        if position > _KEPT_BYTES:
            os.ftruncate(self._result_fd, 0)
        return buffers

    def _epitaph(self) -> str:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return sentence("The decoder stopped answering on this image.")
        if code == -signal.SIGKILL:
            return sentence(
                "The decoder was killed while it worked on this image, perhaps for want of memory."
            )
        if code < 0:
            name = signal.Signals(-code).name
            return sentence(f"The decoder crashed on this image ({name}); its data are probably damaged.")
        return sentence("The decoder ended unexpectedly on this image.")


def _anonymous_file() -> int:
    """A file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("decoded")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
