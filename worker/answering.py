"""Questions of administrators and readers (`app.looks`), answered by the duty worker as they come."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

import structlog

from app import looks
from app.domain.sentence import sentence
from app.errors import Problem, Unavailable
from app.looks import Question

_log = structlog.get_logger(__name__)


class Answering(ABC):
    """Answers the questions of one task, one at a time."""

    task: str

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def drain(self, *, stop: threading.Event) -> int:
        """Answers what waits, the longest waiting first; returns how many. Silent without a broker.

        Where another thread is at it, that one goes on until nothing waits.
        """
        answered = 0
        try:
            while not stop.is_set() and looks.waiting(self.task) and self._lock.acquire(blocking=False):
                try:
                    while not stop.is_set() and (question := looks.next_question(self.task)) is not None:
                        self._answer(question, stop)
                        answered += 1
                finally:
                    self._lock.release()
        except Unavailable:
            _log.warning("looks_unavailable")
        return answered

    @abstractmethod
    def said(self, question: Question, stop: threading.Event) -> dict[str, Any]:
        """The answer, or `{"refused": why}` with a sentence. Raises Problem, and OSError of this machine."""

    def _answer(self, question: Question, stop: threading.Event) -> None:
        started = time.monotonic()
        try:
            said = self.said(question, stop)
        except Problem as problem:
            said = {"refused": problem.detail}
        except OSError as error:
            said = {
                "refused": sentence(f"The look could not be begun on this machine ({type(error).__name__}).")
            }
        except Exception as error:  # noqa: BLE001  (whoever asked is told, and the next question is answered)
            _log.error("look_failed", task=self.task, error=type(error).__name__)
            said = {
                "refused": sentence(
                    f"Answering failed on this machine ({type(error).__name__}); see its log."
                )
            }
        if "refused" in said:
            looks.refuse(question, str(said["refused"]))
        else:
            looks.answer(question, said)
        seconds = round(time.monotonic() - started, 2)
        _log.info("look_answered", task=self.task, refused="refused" in said, seconds=seconds)
