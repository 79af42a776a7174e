"""Looks: kept for minutes in the real broker, for whoever asked."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app import looks, queue
from app.errors import NotFound, TooManyRequests, Unavailable
from app.settings import settings

ME = uuid4()


def a_look(**values: str) -> object:
    return looks.ask(by=ME, media_type="image/png", about="a file", **{"sha256": "a" * 64, **values})


def test_a_question_waits_is_answered_and_is_found_by_whoever_asked(broker: str) -> None:
    look_id = a_look()
    assert looks.waiting()
    assert looks.find(look_id, by=ME).state == "waiting"
    question = looks.next_question()
    assert question is not None
    assert (question.sha256, looks.waiting(), looks.next_question()) == ("a" * 64, False, None)
    looks.answer(question, {"layers": []})
    found = looks.find(look_id, by=ME)
    assert (found.state, found.answer) == ("done", {"layers": []})
    with pytest.raises(NotFound):
        looks.find(look_id, by=uuid4())
    with pytest.raises(NotFound):
        looks.find(uuid4(), by=ME)


def test_questions_are_answered_in_the_order_they_came(broker: str) -> None:
    asked = [str(a_look()) for _ in range(3)]
    taken = [looks.next_question() for _ in range(3)]
    assert [question.look_id for question in taken if question] == asked


def test_a_snapshot_to_be_counted_keeps_no_image_waiting(broker: str) -> None:
    counted = looks.ask_for_counts(by=ME, datasets=[ME], reviews=True)
    look_id = a_look()
    assert (question := looks.next_question()) is not None
    assert question.look_id == str(look_id)
    assert not looks.waiting()
    wanted = looks.next_question(queue.COUNT_SNAPSHOT)
    assert wanted is not None
    assert (wanted.look_id, wanted.snapshot_of) == (str(counted), {"datasets": [str(ME)], "reviews": True})
    with pytest.raises(NotFound):
        looks.find(counted, by=ME)  # the page of an image has nothing to show of it
    assert looks.find(counted, by=ME, task=queue.COUNT_SNAPSHOT).state == "waiting"


def test_a_snapshot_is_counted_once_for_a_button_pressed_twice(broker: str) -> None:
    asked = [looks.ask_for_counts(by=ME, datasets=[ME], reviews=True) for _ in range(2)]
    assert asked[0] == asked[1]
    others = looks.ask_for_counts(by=uuid4(), datasets=[ME], reviews=True)
    without = looks.ask_for_counts(by=ME, datasets=[ME], reviews=False)
    taken = [looks.next_question(queue.COUNT_SNAPSHOT) for _ in range(4)]
    assert [one and one.look_id for one in taken] == [str(asked[0]), str(others), str(without), None]
    assert looks.ask_for_counts(by=ME, datasets=[ME], reviews=True) == asked[0], "it is being counted"
    assert taken[0] is not None
    looks.answer(taken[0], {"images": 1})
    assert looks.ask_for_counts(by=ME, datasets=[ME], reviews=True) != asked[0], "more may be signed by now"


def test_counts_that_were_refused_can_be_asked_for_again(broker: str) -> None:
    for _ in range(looks.MOST_WAITING):
        looks.ask_for_counts(by=uuid4(), datasets=[], reviews=True)
    with pytest.raises(TooManyRequests):
        looks.ask_for_counts(by=ME, datasets=[], reviews=True)
    while looks.next_question(queue.COUNT_SNAPSHOT):
        pass
    again = looks.ask_for_counts(by=ME, datasets=[], reviews=True)
    wanted = looks.next_question(queue.COUNT_SNAPSHOT)
    assert wanted is not None
    assert wanted.look_id == str(again)


def test_more_than_a_few_do_not_wait(broker: str) -> None:
    for _ in range(looks.MOST_WAITING):
        a_look()
    with pytest.raises(TooManyRequests) as refused:
        a_look()
    assert refused.value.retry_after > 0


def test_a_question_that_nobody_answers_ends_with_a_sentence(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_id = a_look()
    monkeypatch.setattr(looks, "PATIENCE_SECONDS", -1.0)
    found = looks.find(look_id, by=ME)
    assert (found.state, found.reason) == ("failed", looks.NOBODY)


def test_a_bell_rings_for_every_question_whatever_else_waits(broker: str) -> None:
    queue.ring(queue.DELIVER, *(str(uuid4()) for _ in range(10)))
    before = queue.waiting(queue.DUTY_QUEUE)
    a_look()
    assert queue.waiting(queue.DUTY_QUEUE) == before + 1


def test_without_a_broker_nothing_is_asked(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTREAD_BROKER_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    queue.configure_from_settings()
    with pytest.raises(Unavailable):
        a_look()
