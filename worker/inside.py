"""What the layers see, for administrators who ask, and occlusion maps, for readers who do: each in a process
of its own.

The duty worker hears the bell; the child decodes (in the decoder's own supervised child), runs the network
on one thread, yielding to all others, says what it saw, and its memory is free again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any
from uuid import UUID

from app.blobs import Blobs
from app.commands import explaining
from app.domain.explanation import why_map_withheld, with_maps_allowed
from app.domain.sentence import sentence
from app.looks import Question
from app.queries.bundles import bundles
from app.queue import LOOK_INSIDE
from app.records.engine import transaction
from app.settings import Settings
from worker.answering import Answering

_SECONDS_BESIDES = 30.0
"""What a look may take beyond the decoding; it takes about two."""


class Glass(Answering):
    """Answers looks, one at a time."""

    task = LOOK_INSIDE

    def __init__(self, configuration: Settings, *, blobs: Blobs) -> None:
        super().__init__()
        self._blobs = blobs
        self._decoding = configuration.decoder_timeout
        self._memory = configuration.decoder_memory

    def said(self, question: Question, stop: threading.Event) -> dict[str, Any]:
        """What the child saw; a lent file is given back."""
        try:
            if question.map_of:
                return self._map(question, stop)
            if question.candidate:
                return self._try(question, candidate=question.candidate, stop=stop)
            return self._look(question, stop)
        finally:
            if question.lent is not None:
                self._blobs.give_back(question.lent)

    def _map(self, question: Question, stop: threading.Event) -> dict[str, Any]:
        """The map is kept with the reading it explains; the answer here only says that it is."""
        order = self._order(question, bundle=question.bundle or "", what="map")
        said = _in_child(order, seconds=self._decoding + _SECONDS_BESIDES, stop=stop)
        if "refused" in said:
            return said
        with transaction() as session:
            explaining.keep(
                session,
                image_reading_id=UUID(question.look_id),
                finding=said["finding"],
                cells=said["cells"],
                runtime=said["runtime"],
            )
        return {"kept": True}

    def _look(self, question: Question, stop: threading.Event) -> dict[str, Any]:
        with transaction() as session:
            bundle = next((known for known in bundles(session) if known.active), None)
        if bundle is None:
            return {
                "refused": sentence(
                    "No network has been promoted at this site, so there is none to look into."
                )
            }
        order = self._order(question, bundle=bundle.sha256, what="layers")
        said = _in_child(order, seconds=self._decoding + _SECONDS_BESIDES, stop=stop)
        return said if "refused" in said else said | _added_up(said, bundle.manifest.get("explanations"))

    def _try(self, question: Question, *, candidate: str, stop: threading.Event) -> dict[str, Any]:
        """What the candidate says of the image, and what the bundle that reads now says."""
        with transaction() as session:
            active = next((known for known in bundles(session) if known.active), None)
        order = self._order(question, bundle=active.sha256 if active else candidate, what="try")
        order["candidate"] = str(self._blobs.path(candidate))
        return _in_child(order, seconds=self._decoding + _SECONDS_BESIDES, stop=stop)

    def _order(self, question: Question, *, bundle: str, what: str) -> dict[str, Any]:
        image = self._blobs.lent(question.lent) if question.lent else self._blobs.path(question.sha256 or "")
        return {
            "what": what,
            "bundle": str(self._blobs.path(bundle)),
            "image": str(image),
            "media_type": question.media_type,
            "seconds": self._decoding,
            "memory_bytes": self._memory,
        }


def _added_up(said: dict[str, Any], explanations: object) -> dict[str, Any]:
    """The class activation maps only where a reader would be shown them, else the sentence why not."""
    maps = {name: {"activation_map": rows} for name, rows in said["contributions"].items()}
    allowed = with_maps_allowed(maps, explanations)
    return {
        "contributions": {
            name: shown["activation_map"] for name, shown in allowed.items() if "activation_map" in shown
        },
        "map_withheld": why_map_withheld(explanations),
    }


def _in_child(order: dict[str, Any], *, seconds: float, stop: threading.Event) -> dict[str, Any]:
    """What the child says, or why it says nothing: it crashed, took too long, or this worker must end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "worker.inside_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + seconds
    words: str | None = json.dumps(order)
    while True:
        try:
            said, _ = child.communicate(words, timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            words = None
            if stop.is_set() or time.monotonic() > until:
                child.kill()
                child.communicate()
                return {
                    "refused": sentence("The worker was asked to end. Ask again.")
                    if stop.is_set()
                    else sentence(f"The look took more than {seconds:g} seconds and was given up.")
                }
    try:
        answer = json.loads(said)
    except ValueError:
        return {"refused": sentence(f"The look broke on this machine (exit code {child.returncode}).")}
    return dict(answer)
