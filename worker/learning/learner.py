"""The training worker: one job at a time, each in a child that can be killed, reported on while it runs."""

from __future__ import annotations

import json
import queue as fifo
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from app.blobs import Blobs
from app.commands import jobs
from app.commands.jobs import CANCELLED, JobToDo
from app.domain.sentence import sentence
from app.errors import Problem, Unavailable
from app.records.engine import transaction
from worker.learning.child import DISK_FULL, FULL
from worker.learning.kinds import KINDS, beside

LEASE_SECONDS = 30.0
_TO_BEGIN = 300.0
"""Seconds of the first lease: an order may list a million images before the child has anything to say."""
_REPORT_SECONDS = 1.0
_MOST_SILENT = 1800.0
"""Seconds without a word after which a child is taken for stuck."""
_TO_END = 10.0
"""Seconds that a child has to end once it was asked to."""
_FOR_ROOM = 3600.0
"""Seconds for which what a child has made waits for room on the disk."""
_LOOK_FOR_ROOM = 5.0
_NO_ROOM = sentence(
    "The disk was full, and an hour later still was: what was made could not be kept. "
    "Make room and ask again."
)
_WAITS_FOR_ROOM = {
    "stage": sentence("It is done; the disk is full, and what was made waits for room"),
    "done": 0,
    "of": 1,
    "per_second": 0.0,
    "seconds_left": None,
}

_log = structlog.get_logger(__name__)


class Learner:
    """Does what waits, the longest waiting first."""

    def __init__(self, *, blobs: Blobs, folder: Path, name: str) -> None:
        """`folder` is where jobs keep what they need for a further attempt; `name` is this worker's."""
        self._blobs = blobs
        self._folder = folder
        self._name = name

    def drain(self, *, stop: threading.Event) -> int:
        """Until nothing waits or the worker is to end; returns how many jobs were tried.

        Raises Unavailable without a database.
        """
        self._tidy()
        tried = 0
        while not stop.is_set():
            with transaction() as session:
                job = jobs.claim(session, worker=self._name, seconds=_TO_BEGIN)
            if job is None:
                return tried
            tried += 1
            self._do(job, stop)
        return tried

    def _tidy(self) -> None:
        """Folders of jobs that are over, which a worker that was killed left behind, are gone."""
        left = [folder for folder in self._folder.glob("*") if folder.is_dir()]
        if not left:
            return
        with transaction() as session:
            owed = {str(id_) for id_ in jobs.owed(session)}
        for folder in left:
            if folder.name not in owed:
                shutil.rmtree(folder, ignore_errors=True)

    def _do(self, job: JobToDo, stop: threading.Event) -> None:
        started = time.monotonic()
        folder = self._folder / str(job.id)
        outcome: dict[str, Any]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            outcome = {"cancelled": CANCELLED} if job.cancelled else self._tried(job, folder, stop)
        except Unavailable:
            raise
        except Problem as problem:
            outcome = {"refused": problem.detail}
        except OSError as error:
            outcome = {"failed": DISK_FULL if error.errno in FULL else _could_not(error)}
        if "answer" in outcome:
            state = self._recorded(job, outcome["answer"], stop)
        else:
            state = self._left(job, outcome)
        if state in ("done", "refused", "failed", "cancelled"):
            shutil.rmtree(folder, ignore_errors=True)
        _log.info("job_left", kind=job.kind, how=state, seconds=round(time.monotonic() - started, 2))

    def _tried(self, job: JobToDo, folder: Path, stop: threading.Event) -> dict[str, Any]:
        with transaction() as session:
            order = beside(job.kind).order(
                session, blobs=self._blobs, subject_id=job.subject_id, folder=folder
            )
        own = {"run": KINDS[job.kind][1], "folder": str(folder), "attempt": job.attempts}
        return self._in_child(job, order | own, stop)

    def _recorded(self, job: JobToDo, answer: dict[str, Any], stop: threading.Event) -> str:
        """The answer is on record. On a full disk it waits for room first, so that nothing is made twice."""
        began = time.monotonic()
        while True:
            try:
                return self._record(job, answer)
            except (Unavailable, OSError) as error:
                broken = error if isinstance(error, OSError) else error.__cause__
                if not isinstance(broken, OSError):
                    raise  # the database's: `app.blobs` names the disk as the cause
            if broken.errno not in FULL:
                return self._left(job, {"failed": _could_not(broken)})
            nothing_more = self._no_room(job, stop, since=began)
            if nothing_more is not None:
                return self._left(job, nothing_more)

    def _record(self, job: JobToDo, answer: dict[str, Any]) -> str:
        try:
            with transaction() as session:
                if jobs.end(session, job_id=job.id, worker=self._name, state="done") is None:
                    return "lost"
                beside(job.kind).record(session, blobs=self._blobs, subject_id=job.subject_id, answer=answer)
            return "done"
        except Unavailable:
            raise
        except Problem as problem:
            return self._left(job, {"refused": problem.detail})

    def _no_room(self, job: JobToDo, stop: threading.Event, *, since: float) -> dict[str, Any] | None:
        """What becomes of the job now; None once it is worth another look whether there is room."""
        if time.monotonic() - since > _FOR_ROOM:
            return {"failed": _NO_ROOM}
        taken = self._kept(job, progress=_WAITS_FOR_ROOM, told=[])
        if taken is None and stop.wait(_LOOK_FOR_ROOM):
            return {"given back": None}
        return taken

    def _kept(
        self, job: JobToDo, *, progress: dict[str, Any], told: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """The lease is renewed; else `{cancelled}` or `{lost}`."""
        with transaction() as session:
            if jobs.keep(
                session,
                job_id=job.id,
                worker=self._name,
                seconds=LEASE_SECONDS,
                progress=progress,
                told=told,
            ):
                return None
            cancelled = jobs.is_cancelled(session, job_id=job.id, worker=self._name)
        return {"cancelled": CANCELLED} if cancelled else {"lost": None}

    def _left(self, job: JobToDo, outcome: dict[str, Any]) -> str:
        """What became of a job that is not done: over with a sentence, or another attempt is owed."""
        state, said = next(iter(outcome.items()))
        with transaction() as session:
            if state == "lost":
                return "lost"
            if state == "given back":
                jobs.give_back(session, job_id=job.id, worker=self._name)
                return "given back"
            if state == "broke off":
                if jobs.broke_off(session, job_id=job.id, worker=self._name):
                    return "broke off"
                state = "failed"
            ended = jobs.end(session, job_id=job.id, worker=self._name, state=state, said=said)
            if ended is not None:
                beside(job.kind).give_up(
                    session, subject_id=job.subject_id, state=ended[0], said=ended[1] or ""
                )
        return "lost" if ended is None else ended[0]

    def _in_child(self, job: JobToDo, order: dict[str, Any], stop: threading.Event) -> dict[str, Any]:
        """`{answer}`, `{refused|failed|cancelled|broke off: sentence}`, `{given back}` or `{lost}`."""
        with (self._folder / str(job.id) / "errors.log").open("ab") as errors:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.learning.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert child.stdin is not None
        said = Lines(child)
        with suppress(BrokenPipeError):  # it has ended; its exit code says how
            child.stdin.write(json.dumps(order))
            child.stdin.close()
        try:
            return self._follow(job, child, said, stop)
        finally:
            _stop(child)

    def _follow(
        self, job: JobToDo, child: subprocess.Popen[str], said: Lines, stop: threading.Event
    ) -> dict[str, Any]:
        kept = time.monotonic()
        while not stop.is_set():
            outcome = said.next()
            if outcome is None and time.monotonic() - said.heard > _MOST_SILENT:
                return {"broke off": sentence("It stood still, was ended, and stood still again.")}
            if outcome is None and time.monotonic() - kept < _REPORT_SECONDS:
                continue
            try:
                taken = self._kept(job, progress=said.progress, told=said.told)
            except Unavailable:
                if outcome is not None or time.monotonic() - kept > LEASE_SECONDS:
                    raise  # the row is still due, and tried again once the lease is over
                continue
            if outcome is not None:
                return outcome or _ended(child)
            if taken is not None:
                return taken
            said.told, kept = [], time.monotonic()
        return {"given back": None}


class Lines:
    """What a child says: its progress, what it told since that was last kept, and its last word."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.heard = time.monotonic()
        self.progress: dict[str, Any] = {}
        self.told: list[dict[str, Any]] = []
        self._lines: fifo.Queue[str | None] = fifo.Queue()
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """The last word, empty where the child ended without one; None while it goes on."""
        try:
            line = self._lines.get(timeout=0.2)
        except fifo.Empty:
            return None
        self.heard = time.monotonic()
        if line is None:
            return {}
        said = dict(json.loads(line))
        if "progress" in said:
            self.progress = said["progress"]
        elif "told" in said:
            self.told.append(said["told"])
        else:
            return said
        return None

    def _listen(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            self._lines.put(line)
        self._lines.put(None)


def _could_not(error: OSError) -> str:
    return sentence(f"This machine could not do it ({type(error).__name__}).")


def _ended(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Killed by a signal it may do better another time; what ends by itself would end so again."""
    code = child.wait()
    said = sentence(f"It broke on this machine (exit code {code}).")
    return {"broke off": said} if code < 0 else {"failed": said}


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_TO_END)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
