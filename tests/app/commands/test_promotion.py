"""Which network reads: only what passed the gate, by two people; and back by one."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import evaluation, registry, shadow
from app.commands.promotion import can_promote, decide, people_needed, propose, roll_back, set_people
from app.domain.roles import SYSTEM, Actor, Role
from app.domain.snapshot import SnapshotRow
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records import AuditEvent, Evaluation, Promotion, Proposal, Snapshot
from app.settings import settings
from models.promotion_gate import promotion_gate
from models.promotion_line import Line
from tests.app.commands import candidates
from tests.app.commands.candidates import (
    SAME,
    USE,
    a_snapshot,
    a_stored_bundle,
    an_active_bundle,
    an_evaluation,
    comparison,
    over,
)
from tests.builders import a_user


@pytest.fixture
def ada(session: Session) -> Actor:
    return a_user(session, "ada", Role.ADMINISTRATOR)


@pytest.fixture
def grace(session: Session) -> Actor:
    return a_user(session, "grace", Role.ADMINISTRATOR)


def judged(session: Session, blobs: Blobs, **changes: object) -> tuple[str, str]:
    """The active bundle and a candidate that was evaluated beside it."""
    active = an_active_bundle(session, blobs)
    candidate = a_stored_bundle(session, blobs, "2")
    an_evaluation(session, blobs, candidate, **changes)
    return active, candidate


def another_test(session: Session, name: str) -> UUID:
    """A snapshot with a locked test of its own."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    snapshot = Snapshot(
        name=name,
        sha256=sha256,
        images=1,
        counts={},
        findings=["pneumonia"],
        test_sha256=sha256,
        created_by_name="ada",
    )
    session.add(snapshot)
    session.flush()
    return snapshot.id


def actions(session: Session) -> list[str]:
    return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


def test_one_proposes_and_another_approves(session: Session, blobs: Blobs, ada: Actor, grace: Actor) -> None:
    active, candidate = judged(session, blobs)
    proposed = propose(session, blobs, sha256=candidate, reason="fewer missed", by=ada)
    assert not proposed.promoted
    assert registry.active_bundle(session) == active
    with pytest.raises(Forbidden, match="another administrator"):
        decide(session, blobs, proposal_id=proposed.proposal_id, decision="promote", by=ada)
    decide(session, blobs, proposal_id=proposed.proposal_id, decision="promote", by=grace)
    assert registry.active_bundle(session) == candidate
    last = session.scalars(select(Promotion).order_by(Promotion.sequence.desc())).first()
    assert last is not None
    assert (last.kind, last.proposal_id, last.promoted_by_name) == (
        "promotion",
        proposed.proposal_id,
        "grace",
    )
    said = session.scalars(select(AuditEvent).where(AuditEvent.action == "promotion.approved")).one()
    assert said.details["insufficient"] == ["age 1 to 4 years", "sex"]
    with pytest.raises(Conflict, match="decided already"):
        decide(session, blobs, proposal_id=proposed.proposal_id, decision="decline", reason="x", by=grace)


def test_a_bundle_that_reads_runs_in_shadow_no_more(session: Session, blobs: Blobs, ada: Actor) -> None:
    set_people(session, people=1, by=ada)
    active, candidate = judged(session, blobs)
    shadow.begin(session, sha256=candidate, by=ada)
    propose(session, blobs, sha256=candidate, reason="better", by=ada)
    assert shadow.running(session) is None
    shadow.begin(session, sha256=active, by=ada)
    roll_back(session, reason="alarms", by=ada)
    assert shadow.running(session) is None
    shadow.begin(session, sha256=candidate, by=ada)
    another = a_stored_bundle(session, blobs, "3")
    an_evaluation(session, blobs, another)
    propose(session, blobs, sha256=another, reason="better still", by=ada)
    still = shadow.running(session)
    assert still is not None and still.bundle_sha256 == candidate, "that of others goes on"


def test_where_the_site_says_one_a_proposal_promotes(session: Session, blobs: Blobs, ada: Actor) -> None:
    assert people_needed(session) == 2
    with pytest.raises(Unprocessable):
        set_people(session, people=3, by=ada)
    set_people(session, people=1, by=ada)
    _, candidate = judged(session, blobs)
    assert propose(session, blobs, sha256=candidate, reason="better", by=ada).promoted
    assert registry.active_bundle(session) == candidate
    assert "site.promotion-people-set" in actions(session)


def test_a_proposer_may_decide_once_the_site_needs_one(session: Session, blobs: Blobs, ada: Actor) -> None:
    _, candidate = judged(session, blobs)
    proposed = propose(session, blobs, sha256=candidate, reason="better", by=ada)
    set_people(session, people=1, by=ada)
    decide(session, blobs, proposal_id=proposed.proposal_id, decision="promote", by=ada)
    assert registry.active_bundle(session) == candidate


def test_a_proposal_is_declined_with_a_reason_or_withdrawn(
    session: Session, blobs: Blobs, ada: Actor, grace: Actor
) -> None:
    active, candidate = judged(session, blobs)
    first = propose(session, blobs, sha256=candidate, reason="better", by=ada).proposal_id
    with pytest.raises(Conflict, match="proposed already"):
        propose(session, blobs, sha256=candidate, reason="better", by=grace)
    with pytest.raises(Unprocessable, match="Say why"):
        decide(session, blobs, proposal_id=first, decision="decline", by=grace)
    with pytest.raises(Forbidden, match="withdraw it instead"):
        decide(session, blobs, proposal_id=first, decision="decline", reason="no", by=ada)
    with pytest.raises(Forbidden, match="decline it instead"):
        decide(session, blobs, proposal_id=first, decision="withdraw", by=grace)
    decide(session, blobs, proposal_id=first, decision="decline", reason="too few girls", by=grace)
    second = propose(session, blobs, sha256=candidate, reason="better all the same", by=ada).proposal_id
    decide(session, blobs, proposal_id=second, decision="withdraw", by=ada)
    decided = {row.decision: row.decision_reason for row in session.scalars(select(Proposal))}
    assert decided == {"declined": "too few girls", "withdrawn": None}
    assert registry.active_bundle(session) == active
    assert {"promotion.proposed", "promotion.declined", "promotion.withdrawn"} <= set(actions(session))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"difference": dict.fromkeys(("auc", "sensitivity", "specificity"), SAME | {"low": -0.2})}, "AUC: "),
        ({"lost_of_right": 0.5}, "calls 50.0% wrong"),
        (
            {"intended_use": {"active": USE, "candidate": USE | {"max_age_years": 120.0}}},
            "intended use is not the active bundle's",
        ),
        ({"patients_with": 3}, "3 patients with pneumonia"),
        ({"labels": {"may_judge": 100, "others": 20}}, "20 labels of the test"),
    ],
)
def test_a_candidate_that_fails_the_gate_is_promoted_by_nobody(
    session: Session, blobs: Blobs, ada: Actor, changes: dict[str, object], why: str
) -> None:
    set_people(session, people=1, by=ada)
    active, candidate = judged(session, blobs, **changes)
    assert why in (can_promote(session, sha256=candidate) or "")
    with pytest.raises(Conflict, match=why.replace("(", "[(]")):
        propose(session, blobs, sha256=candidate, reason="I like it", by=ada)
    assert registry.active_bundle(session) == active


def test_a_candidate_that_failed_is_not_promoted_by_a_smaller_test(
    session: Session, blobs: Blobs, ada: Actor
) -> None:
    set_people(session, people=1, by=ada)
    _, candidate = judged(session, blobs, lost_of_right=0.5, patients=200)
    small, large = another_test(session, "hand-picked"), another_test(session, "winter")
    an_evaluation(session, blobs, candidate, snapshot=small, patients=199)
    why = can_promote(session, sha256=candidate) or ""
    assert (
        why.startswith("It does not pass the gate on the locked test of autumn; ") and "200 patients" in why
    )
    with pytest.raises(Conflict, match=r"calls 50\.0% wrong"):
        propose(session, blobs, sha256=candidate, reason="it passed", by=ada)
    an_evaluation(session, blobs, candidate, snapshot=large, patients=200)
    assert can_promote(session, sha256=candidate) is None
    an_evaluation(session, blobs, candidate, lost_of_right=0.5, snapshot=small, patients=199)
    assert "locked test of hand-picked" in (can_promote(session, sha256=candidate) or "")
    an_evaluation(session, blobs, candidate, snapshot=small, patients=199)
    assert propose(session, blobs, sha256=candidate, reason="it passed them all", by=ada).promoted


def of_any_use(outcome: dict[str, Any]) -> tuple[Line, ...]:
    """The gate of an older program, which had no line for the intended use."""
    return tuple(line for line in promotion_gate(outcome) if line.name != "intended use")


def test_an_evaluation_that_did_not_ask_for_the_intended_use_promotes_only_where_it_is_the_same(
    session: Session, blobs: Blobs, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "promotion_gate", of_any_use)
    set_people(session, people=1, by=ada)
    an_active_bundle(session, blobs)
    wider = a_stored_bundle(session, blobs, "2", max_age_years=120.0)
    same = a_stored_bundle(session, blobs, "3")
    an_evaluation(session, blobs, wider)
    an_evaluation(session, blobs, same)
    with pytest.raises(Conflict, match="Its intended use is not that of the bundle that reads now"):
        propose(session, blobs, sha256=wider, reason="adults too", by=ada)
    assert propose(session, blobs, sha256=same, reason="better", by=ada).promoted


def test_no_larger_test_of_an_older_program_outweighs_another_intended_use(
    session: Session, blobs: Blobs, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_active_bundle(session, blobs)
    wider = a_stored_bundle(session, blobs, "2", max_age_years=120.0)
    uses = {"intended_use": {"active": USE, "candidate": USE | {"max_age_years": 120.0}}}
    large, small = another_test(session, "large"), another_test(session, "small")
    for program in ("older", "newer", "older"):
        with monkeypatch.context() as its:
            if program == "older":
                its.setattr(candidates, "promotion_gate", of_any_use)
            test, patients = (large, 2000) if program == "older" else (small, 200)
            an_evaluation(session, blobs, wider, snapshot=test, patients=patients, **uses)
        assert "intended use is not" in (can_promote(session, sha256=wider) or "")


def test_nobody_promotes_what_was_not_evaluated_beside_the_bundle_that_reads_now(
    session: Session, blobs: Blobs, ada: Actor, grace: Actor
) -> None:
    active, candidate = judged(session, blobs)
    other = a_stored_bundle(session, blobs, "3")
    with pytest.raises(Conflict, match="not evaluated"):
        propose(session, blobs, sha256=other, reason="unseen", by=ada)
    with pytest.raises(NotFound):
        propose(session, blobs, sha256="0" * 64, reason="unseen", by=ada)
    with pytest.raises(Conflict, match="reads now"):
        propose(session, blobs, sha256=active, reason="again", by=ada)
    proposed = propose(session, blobs, sha256=candidate, reason="better", by=ada).proposal_id
    registry.promote(session, sha256=other, by=SYSTEM, reason="meanwhile")
    with pytest.raises(Conflict, match="not evaluated"):
        decide(session, blobs, proposal_id=proposed, decision="promote", by=grace)
    assert registry.active_bundle(session) == other


def test_other_bytes_than_those_that_were_evaluated_are_not_promoted(
    session: Session, blobs: Blobs, ada: Actor
) -> None:
    set_people(session, people=1, by=ada)
    active, candidate = judged(session, blobs)
    blobs.path(candidate).write_bytes(b"another network")
    with pytest.raises(Conflict, match="not those that were evaluated"):
        propose(session, blobs, sha256=candidate, reason="better", by=ada)
    assert registry.active_bundle(session) == active


def test_machines_and_others_promote_nothing(session: Session, blobs: Blobs, ada: Actor) -> None:
    _, candidate = judged(session, blobs)
    reader = a_user(session, "reader", Role.RADIOLOGIST)
    machine = Actor(kind="key", id=ada.id, name="key", permissions=ada.permissions)
    for who in (reader, machine, SYSTEM):
        with pytest.raises(Forbidden):
            propose(session, blobs, sha256=candidate, reason="x", by=who)
        with pytest.raises(Forbidden):
            roll_back(session, reason="x", by=who)


def test_the_way_back_needs_one_person_and_no_gate(
    session: Session, blobs: Blobs, ada: Actor, grace: Actor
) -> None:
    active, candidate = judged(session, blobs)
    with pytest.raises(Conflict, match="no bundle to go back to"):
        roll_back(session, reason="odd", by=ada)
    proposed = propose(session, blobs, sha256=candidate, reason="better", by=ada).proposal_id
    decide(session, blobs, proposal_id=proposed, decision="promote", by=grace)
    with pytest.raises(Unprocessable):
        roll_back(session, reason=" ", by=ada)
    with pytest.raises(Conflict, match="Only a bundle that read here before"):
        roll_back(session, to=a_stored_bundle(session, blobs, "3"), reason="odd", by=ada)
    assert roll_back(session, reason="it misses effusions", by=ada) == active
    assert registry.active_bundle(session) == active
    assert list(session.scalars(select(Promotion.kind).order_by(Promotion.sequence))) == [
        "first",
        "promotion",
        "rollback",
    ]


def test_a_bundle_that_was_left_by_going_back_reads_again_only_through_the_gate(
    session: Session, blobs: Blobs, ada: Actor
) -> None:
    set_people(session, people=1, by=ada)
    first, second = judged(session, blobs)
    propose(session, blobs, sha256=second, reason="better", by=ada)
    third = a_stored_bundle(session, blobs, "3")
    an_evaluation(session, blobs, third)
    propose(session, blobs, sha256=third, reason="better still", by=ada)
    assert registry.former(session) == (second, first)
    assert roll_back(session, reason="it misses effusions", by=ada) == second
    assert registry.former(session) == (first,)
    with pytest.raises(Conflict, match="only through the gate"):
        roll_back(session, to=third, reason="it was the plate", by=ada)
    assert roll_back(session, reason="still", by=ada) == first
    with pytest.raises(Conflict, match="no bundle to go back to"):
        roll_back(session, reason="again", by=ada)
    assert propose(session, blobs, sha256=second, reason="it was the plate", by=ada).promoted
    assert registry.former(session) == (first,)
    assert roll_back(session, reason="odd again", by=ada) == first


def test_an_evaluation_is_asked_for_only_where_it_can_say_something(
    session: Session, blobs: Blobs, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = a_snapshot(session, blobs)

    def ask(sha256: str, of: UUID = snapshot) -> UUID:
        return evaluation.ask(session, candidate_sha256=sha256, snapshot_id=of, by=ada)

    candidate = a_stored_bundle(session, blobs, "2")
    with pytest.raises(Conflict, match="No network reads"):
        ask(candidate)
    active = an_active_bundle(session, blobs)
    with pytest.raises(Conflict, match="reads now"):
        ask(active)
    with pytest.raises(NotFound):
        ask("0" * 64)
    row = SnapshotRow(path="a", label="NORMAL", patient_key="p", split="train", source="import")
    untested = a_snapshot(session, blobs, [row])
    with pytest.raises(Conflict, match="no locked test"):
        ask(candidate, untested)
    job_id = ask(candidate)
    with pytest.raises(Conflict, match="being evaluated"):
        ask(candidate)
    over(session, job_id)
    an_evaluation(session, blobs, candidate)
    monkeypatch.setenv("FIRSTREAD_LOCKED_TEST_USES", "2")
    settings.cache_clear()
    ask(candidate)
    with pytest.raises(Conflict, match="may be used 2 times"):
        ask(a_stored_bundle(session, blobs, "3"))
    assert session.scalar(select(func.count()).select_from(Evaluation)) == 1
    assert actions(session).count("locked-test.used") == 1


def test_an_evaluation_whose_gate_judged_one_of_two_findings_promotes_nothing(
    session: Session, blobs: Blobs, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_people(session, people=1, by=ada)
    two = {"active": ["pneumonia"], "candidate": ["effusion", "pneumonia"]}
    one = {"active": ["pneumonia"], "candidate": ["pneumonia"]}
    both = {"findings": two, "others": [comparison() | {"finding": "effusion"}]}
    an_active_bundle(session, blobs)
    candidate = a_stored_bundle(session, blobs, "2")
    failed, large, small = (another_test(session, name) for name in ("failed", "large", "small"))
    an_evaluation(session, blobs, candidate, snapshot=failed, lost_of_right=0.5, patients=500, **both)
    with monkeypatch.context() as older:
        older.setattr(candidates, "promotion_gate", lambda said: promotion_gate(said | {"findings": one}))
        an_evaluation(session, blobs, candidate, snapshot=large, findings=two, patients=2000)
    with pytest.raises(Conflict, match="whose gate asked less of the findings"):
        propose(session, blobs, sha256=candidate, reason="it passed", by=ada)
    an_evaluation(session, blobs, candidate, snapshot=small, **both)
    with pytest.raises(Conflict, match="asked less"):
        propose(session, blobs, sha256=candidate, reason="the large test outweighs the failed", by=ada)
    an_evaluation(session, blobs, candidate, snapshot=large, patients=2000, **both)
    assert propose(session, blobs, sha256=candidate, reason="judged by both", by=ada).promoted


def test_an_evaluation_whose_gate_asked_nothing_of_a_new_finding_under_changes_promotes_nothing(
    session: Session, blobs: Blobs, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_people(session, people=1, by=ada)
    own = {name: {"value": 0.9, "low": 0.85, "high": 0.95} for name in ("auc", "sensitivity", "specificity")}
    new = {part: comparison()[part] for part in ("patients_with", "patients_without", "candidate")}
    new |= {"finding": "effusion", "own": own}
    two = {"active": ["pneumonia"], "candidate": ["effusion", "pneumonia"]}
    an_active_bundle(session, blobs)
    candidate = a_stored_bundle(session, blobs, "2")
    with monkeypatch.context() as older:
        untold = {"others": [new | {"stress": []}]}
        older.setattr(candidates, "promotion_gate", lambda said: promotion_gate(said | untold))
        an_evaluation(session, blobs, candidate, findings=two, others=[new])
    with pytest.raises(Conflict, match="whose gate asked less of the findings"):
        propose(session, blobs, sha256=candidate, reason="it passed", by=ada)
    asked = new | {"stress": [{"grade": 1.0, "own": own}]}
    an_evaluation(session, blobs, candidate, findings=two, others=[asked])
    assert propose(session, blobs, sha256=candidate, reason="asked of now", by=ada).promoted
