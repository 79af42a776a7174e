"""The child of one job: an order on its standard input; on its standard output lines of JSON: progress, what
it has to tell, and at last the answer or why there is none.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from app.domain.sentence import sentence
from app.errors import Problem, Unavailable

FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FULL = sentence("The disk is full; nothing was changed. Make room and ask again.")
_EVERY_SECONDS = 0.25
_LOWEST_PRIORITY = 19


class Refused(Exception):
    """The job cannot be done with what was given; the message is a sentence."""


class BrokeOff(Exception):
    """Another attempt may do better, as after a kill; the message is a sentence."""


class Report(Protocol):
    """How the work says how far it is."""

    def __call__(self, stage: str, done: int, of: int, /) -> None:
        """So much of the stage is done."""


class Tell(Protocol):
    """How the work says what is to stay with the job."""

    def __call__(self, **event: Any) -> None:
        """One event; what JSON can hold."""


class Said:
    """What the child says, a line at a time; progress at most every quarter of a second."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._stage, self._began, self._first, self._last = "", 0.0, 0, 0.0

    def line(self, **words: Any) -> None:
        self._file.write(json.dumps(words, default=list) + "\n")
        self._file.flush()

    def tell(self, **event: Any) -> None:
        """One event, which stays with the job."""
        self.line(told=event)

    def report(self, stage: str, done: int, of: int) -> None:
        """Progress, with what is done in a second and the seconds that are left of the stage."""
        at = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._first, self._last = stage, at, done, 0.0
        if at - self._last < _EVERY_SECONDS and done < of:
            return
        self._last = at
        speed = (done - self._first) / (at - self._began) if at > self._began else 0.0
        left = (of - done) / speed if speed > 0 else None
        self.line(
            progress={
                "stage": stage,
                "done": done,
                "of": of,
                "per_second": round(speed, 2),
                "seconds_left": None if left is None else round(left, 1),
            }
        )


def main() -> None:
    """Ends with an answer or with the sentence why there is none; a crash is told by the exit code."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library has to say is no answer
    order = json.load(sys.stdin)
    _stand_back()
    said = Said(answers)
    said.line(**outcome(order, report=said.report, tell=said.tell))


def outcome(order: dict[str, Any], *, report: Report, tell: Tell) -> dict[str, Any]:  # noqa: PLR0911
    """`{answer}`, or `{refused|failed|broke off: sentence}`."""
    try:
        return {"answer": importlib.import_module(order["run"]).run(order, report=report, tell=tell)}
    except Refused as refusal:
        return {"refused": str(refusal)}
    except BrokeOff as broken:
        return {"broke off": str(broken)}
    except Unavailable as problem:
        return {"failed": problem.detail}
    except Problem as problem:
        return {"refused": problem.detail}
    except OSError as error:
        if error.errno not in FULL:
            raise
        return {"failed": DISK_FULL}
    except MemoryError:
        return {"failed": sentence("This machine has too little memory for it; nothing was changed.")}


def _stand_back() -> None:
    """Whatever else this machine has to do comes first, so that screening hardly notices; and nobody is left
    behind by a worker that was killed.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    os.nice(_LOWEST_PRIORITY)
    with suppress(OSError):  # where memory runs out, this is what ends first
        Path("/proc/self/oom_score_adj").write_text("800")
    with suppress(AttributeError, OSError):  # Linux; elsewhere the niceness must do
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    from worker.learning.child import main as run_as_imported  # so that there is one `Refused`, not two

    code = 1
    try:
        run_as_imported()
        code = 0
    except BaseException:  # noqa: BLE001 - told on the way out, as the interpreter would
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)  # all that was to say is said, whatever a library does on its way out
