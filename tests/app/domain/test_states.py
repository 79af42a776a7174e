"""The life of a study: the table, the page generated from it, and what the commands really do."""

from __future__ import annotations

from pathlib import Path

from app.domain.states import CLAIMABLE, DONE, TRANSITIONS, State, diagram, may, page

_DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_in_the_docs_is_the_one_the_table_generates() -> None:
    assert (_DOCS / "states.md").read_text() == page(), "run: .venv/bin/python -m app.domain.states"


def test_every_state_can_be_reached_and_none_is_a_dead_end() -> None:
    reached = {State.ADMITTED} | {row.target for row in TRANSITIONS if row.target}
    left = {source for row in TRANSITIONS for source in row.sources}
    assert reached == set(State)
    assert left == set(State)


def test_whatever_a_human_may_claim_comes_back_to_where_it_was() -> None:
    for state in CLAIMABLE:
        assert f"claimed --> {state.value}: release" in diagram()


def test_a_signed_study_can_only_be_amended_reopened_or_its_signature_withdrawn() -> None:
    for state in DONE:
        verbs = {row.verb for row in TRANSITIONS if state in row.sources}
        assert {verb for verb in verbs if not verb.startswith("withdraw")} == {
            "amend",
            "new image",
            "header revision",
        }
        assert not may("claim", state)
