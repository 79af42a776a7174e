"""Looks: what an administrator asks to see of the network's inside, or of a snapshot before it is taken, and
the answer, kept for minutes; and the occlusion maps that readers wait for, whose cells the database keeps.

Nothing here is owed: a question that the broker loses is asked again by whoever wants to know. So unlike the
work of a study it has no row, and the answer, with its small pictures of a radiograph, is gone by itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from app import queue
from app.domain.sentence import sentence
from app.errors import NotFound, TooManyRequests

KEPT_SECONDS = 15 * 60
"""How long a question and its answer can be looked at."""
PATIENCE_SECONDS = 90.0
"""After so long without an answer nobody will answer."""
COUNTING_SECONDS = 10 * 60.0
"""As PATIENCE_SECONDS, of what is counted: that takes the longer the more studies are signed."""
MOST_WAITING = 8
NOBODY = sentence("No duty worker answered within a minute and a half. See that one runs, and ask again.")
NOBODY_COUNTED = sentence(
    "No duty worker has counted it within ten minutes. See that one runs, and ask again."
)

_LOOK = "firstread:look:"
_WISH = "firstread:wish:"
"""The look that a person's wish to have something counted led to."""
_ONE_PRESS_SECONDS = 60
"""Who asks again later may do so because a worker ended over the question."""
_WAITING = {queue.LOOK_INSIDE: "firstread:looks", queue.COUNT_SNAPSHOT: "firstread:counts"}
"""Where questions wait, by the task that answers them: no reader's map waits while a snapshot is counted."""

State = Literal["waiting", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which bytes are to be looked at, a stored image by its sha256 or lent ones by their name; or of what a
    snapshot would be.
    """

    look_id: str
    asked_by: str
    asked_at: float
    media_type: str = ""
    about: str = ""
    """What the page calls the image; no patient's name."""
    sha256: str | None = None
    lent: str | None = None
    study_id: str | None = None
    image_id: str | None = None
    map_of: str | None = None
    """The image's reading whose occlusion map is wanted; None where the layers are."""
    bundle: str | None = None
    """sha256 of the bundle that gave that reading; None where the one that reads now is meant."""
    candidate: str | None = None
    """sha256 of a bundle that is tried on the image beside the one that reads now; None for the layers."""
    snapshot_of: dict[str, Any] | None = None
    """`{datasets, reviews}` that a snapshot would be of, the datasets by id; None for an image."""

    @property
    def task(self) -> str:
        """Who answers it."""
        return queue.LOOK_INSIDE if self.snapshot_of is None else queue.COUNT_SNAPSHOT


@dataclass(frozen=True, kw_only=True)
class Look:
    """A question and what came of it: `answer` is what the worker said, `reason` why it could not."""

    question: Question
    state: State
    answer: dict[str, Any] | None = None
    reason: str | None = None


def ask(
    *,
    by: UUID | None,
    media_type: str,
    about: str,
    sha256: str | None = None,
    lent: str | None = None,
    study_id: UUID | None = None,
    image_id: UUID | None = None,
    candidate: str | None = None,
) -> UUID:
    """The question waits for a worker. Raises TooManyRequests where many do, Unavailable without a broker."""
    look_id = uuid4()
    question = Question(
        look_id=str(look_id),
        asked_by=str(by),
        asked_at=time.time(),
        media_type=media_type,
        about=about,
        sha256=sha256,
        lent=lent,
        study_id=str(study_id) if study_id else None,
        image_id=str(image_id) if image_id else None,
        candidate=candidate,
    )
    _enqueue(question)
    return look_id


def ask_for_map(image_reading_id: UUID, *, bundle: str, sha256: str, media_type: str) -> None:
    """The map waits for a worker; once, however many readers ask for it meanwhile. Raises as `ask`."""
    standing = find_map(image_reading_id)
    if standing is not None and standing.state == "waiting":
        return
    _enqueue(
        Question(
            look_id=str(image_reading_id),
            asked_by="",  # nobody's alone
            asked_at=time.time(),
            media_type=media_type,
            about="a map",
            sha256=sha256,
            map_of=str(image_reading_id),
            bundle=bundle,
        )
    )


def ask_for_counts(*, by: UUID | None, datasets: Sequence[UUID], reviews: bool) -> UUID:
    """What a snapshot of these would hold will be counted; once for a button pressed twice: what the same
    person asked for within the minute and waits for is given again. Raises as `ask`.
    """
    look_id = uuid4()
    wanted = {"datasets": [str(one) for one in datasets], "reviews": reviews}
    question = Question(look_id=str(look_id), asked_by=str(by), asked_at=time.time(), snapshot_of=wanted)
    wish = _WISH + hashlib.sha256(json.dumps([question.asked_by, wanted]).encode()).hexdigest()
    with queue.minutes() as client:
        _put(client, Look(question=question, state="waiting"))
        while not client.set(wish, question.look_id, nx=True, ex=_ONE_PRESS_SECONDS):
            standing = _get(client, bytes(client.get(wish) or b"").decode())
            if standing is not None and _with_patience(standing).state == "waiting":
                client.delete(_LOOK + question.look_id)
                return UUID(standing.question.look_id)
            client.delete(wish)
    try:
        _enqueue(question)
    except Exception:
        with queue.minutes() as client:
            client.delete(wish, _LOOK + question.look_id)
        raise
    return look_id


def find_map(image_reading_id: UUID) -> Look | None:
    """What has come of asking for the map; None where nobody has within KEPT_SECONDS."""
    with queue.minutes() as client:
        look = _get(client, str(image_reading_id))
    return None if look is None else _with_patience(look)


def _enqueue(question: Question) -> None:
    waiting = _WAITING[question.task]
    with queue.minutes() as client:
        if int(client.llen(waiting)) >= MOST_WAITING:
            raise TooManyRequests("Several questions like this wait already. Try again soon.", retry_after=10)
        _put(client, Look(question=question, state="waiting"))
        client.lpush(waiting, question.look_id)
        client.expire(waiting, KEPT_SECONDS)
    queue.call(question.task, question.look_id, seconds=KEPT_SECONDS)


def next_question(task: str = queue.LOOK_INSIDE) -> Question | None:
    """Of those that the task answers the one that waits longest, taken off the list; None where none does."""
    with queue.minutes() as client:
        while (look_id := client.rpop(_WAITING[task])) is not None:
            look = _get(client, bytes(look_id).decode())
            if look is not None:
                return look.question
    return None


def waiting(task: str = queue.LOOK_INSIDE) -> bool:
    """True where a question waits that the task answers."""
    with queue.minutes() as client:
        return bool(client.llen(_WAITING[task]))


def answer(question: Question, said: dict[str, Any]) -> None:
    """Whoever asked sees it for KEPT_SECONDS."""
    with queue.minutes() as client:
        _put(client, Look(question=question, state="done", answer=said))


def refuse(question: Question, reason: str) -> None:
    """Whoever asked reads why there is no answer."""
    with queue.minutes() as client:
        _put(client, Look(question=question, state="failed", reason=reason))


def find(look_id: UUID, *, by: UUID | None, task: str = queue.LOOK_INSIDE) -> Look:
    """The look of whoever asked for it, which the task answers; NotFound for others' and for those that are
    gone.
    """
    with queue.minutes() as client:
        look = _get(client, str(look_id))
    if look is None or look.question.asked_by != str(by) or look.question.task != task:
        raise NotFound("There is no such look, or it is more than a quarter of an hour old. Ask again.")
    return _with_patience(look)


def _with_patience(look: Look) -> Look:
    of_image = look.question.snapshot_of is None
    patience, reason = (PATIENCE_SECONDS, NOBODY) if of_image else (COUNTING_SECONDS, NOBODY_COUNTED)
    if look.state == "waiting" and time.time() - look.question.asked_at > patience:
        return Look(question=look.question, state="failed", reason=reason)
    return look


def _put(client: Any, look: Look) -> None:
    client.set(_LOOK + look.question.look_id, json.dumps(asdict(look)), ex=KEPT_SECONDS)


def _get(client: Any, look_id: str) -> Look | None:
    held = client.get(_LOOK + look_id)
    if held is None:
        return None
    said = json.loads(held)
    return Look(**said | {"question": Question(**said["question"])})
