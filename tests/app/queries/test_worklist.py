"""The worklist: in the order in which studies can wait, page by page, with a reason for each place."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.blobs import Blobs
from app.commands import review
from app.commands.intake import GivenMetadata
from app.commands.review import Statement
from app.domain.order import Lane, Priority
from app.domain.roles import SYSTEM, Role
from app.domain.states import Outcome
from app.errors import BadRequest
from app.queries import studies, worklist
from app.queries.worklist_filter import filter_of
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import (
    a_bundle,
    a_dicom,
    a_screened_study,
    a_user,
    admit,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
)


def test_what_can_wait_least_comes_first(blobs: Blobs, database: str) -> None:
    ruled_out = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.01).study_id
    abstained = a_screened_study(blobs, lane=Lane.ABSTAIN, probability=0.4).study_id
    ruled_in = a_screened_study(blobs, lane=Lane.RULE_IN, probability=0.97).study_id
    with transaction() as session:
        stat = admit(session, blobs, a_dicom(), given=GivenMetadata(priority=Priority.STAT)).study_id
    unread = an_admitted_study(blobs).study_id
    with transaction() as session:
        page = worklist.page(session, to=SYSTEM)
    assert [entry.study_id for entry in page.entries] == [stat, ruled_in, unread, abstained, ruled_out]
    assert [entry.hours_earlier for entry in page.entries] == [24, 8, 8, 2, 0]
    assert page.entries[1].why_here == (
        "Network: pneumonia likely (0.97). Placed as if it had arrived 8 h earlier."
    )
    assert page.entries[2].why_here.startswith("Not yet read by the network.")
    assert page.entries[4].why_here.endswith("Placed by its time of arrival.")


def test_pages_follow_each_other_without_a_gap_or_a_repeat(blobs: Blobs, database: str) -> None:
    for _ in range(7):
        an_admitted_study(blobs)
    with transaction() as session:  # equal places: the id decides
        session.execute(update(Study).values(rank_at=now() - timedelta(days=9)))
    seen: list[object] = []
    cursor = None
    with transaction() as session:
        while True:
            page = worklist.page(session, cursor=cursor, size=3, to=SYSTEM)
            seen += [entry.study_id for entry in page.entries]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [entry.study_id for entry in worklist.page(session, to=SYSTEM).entries]
    assert len(set(seen)) == 7


def test_a_cursor_after_a_blind_study_does_not_tell_where_it_stands(blobs: Blobs, database: str) -> None:
    for _ in range(3):
        a_screened_study(blobs)
    with transaction() as session:
        session.execute(update(Study).values(blind=True))
        reader = a_user(session, "ann", Role.RADIOLOGIST)
    with transaction() as session:
        first = worklist.page(session, size=1, to=reader)
        assert first.next_cursor is not None
        carried = base64.urlsafe_b64decode(first.next_cursor + "==")
        assert json.loads(carried) == [None, str(first.entries[0].study_id)]
        rest = worklist.page(session, size=9, cursor=first.next_cursor, to=reader).entries
        together = worklist.page(session, to=reader).entries
        assert [entry.study_id for entry in (*first.entries, *rest)] == [one.study_id for one in together]
        with pytest.raises(BadRequest, match="Begin again"):
            worklist.page(session, cursor=_encoded([None, str(UUID(int=1))]), to=reader)


def test_no_study_is_skipped_where_the_last_one_of_a_page_is_read_meanwhile(
    blobs: Blobs, database: str
) -> None:
    with transaction() as session:
        last = an_admitted_study(blobs).study_id
        others = [a_screened_study(blobs, lane=Lane.ABSTAIN, probability=0.4).study_id for _ in range(2)]
    with transaction() as session:
        session.execute(update(Study).values(blind=True))
        reader = a_user(session, "ann", Role.RADIOLOGIST)
    with transaction() as session:
        first = worklist.page(session, size=1, to=reader)
        assert [entry.study_id for entry in first.entries] == [last]
        study = session.get_one(Study, last)
        study.rank_at = study.arrived_at  # ruled out, it stands behind all others
        session.flush()
        rest = worklist.page(session, cursor=first.next_cursor, to=reader).entries
        assert {entry.study_id for entry in rest} >= set(others)


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "AAAA",
        _encoded(1),
        _encoded(["2020-01-01T00:00:00", "x"]),
        _encoded({}),
        "é",
        "A" * 5000,
    ],
)
def test_a_foreign_cursor_is_refused_in_words(database: str, cursor: str) -> None:
    with transaction() as session, pytest.raises(BadRequest, match="cursor"):
        worklist.page(session, cursor=cursor, to=SYSTEM)


def test_signed_studies_and_priors_are_not_on_the_worklist(blobs: Blobs, database: str) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        admit(session, blobs, a_dicom(), given=GivenMetadata(purpose="prior"))
        grace = a_user(session, "grace", Role.RADIOLOGIST)
        findings = {"pneumonia": Statement.ABSENT}
        review.sign(
            session,
            study_id=study_id,
            by=grace,
            revision=revision_of(study_id),
            confirm=False,
            findings=findings,
        )
    with transaction() as session:
        assert worklist.page(session, to=SYSTEM).entries == ()


def test_withheld_and_failed_studies_stay_and_keep_the_unknown_credit(blobs: Blobs, database: str) -> None:
    for _ in range(2):
        an_admitted_study(blobs)
    with transaction() as session:
        a_bundle(session)
        for job, outcome in zip(claimed(session), (Outcome.WITHHELD, Outcome.FAILED), strict=True):
            reason = f"The reason it was {outcome.value}."
            record(session, job, image_read(job.images[0].image_id, outcome=outcome, reason=reason))
    with transaction() as session:
        entries = worklist.page(session, to=SYSTEM).entries
    assert {entry.state.value for entry in entries} == {"withheld", "failed"}
    assert all(entry.reason == f"The reason it was {entry.state.value}." for entry in entries)
    assert all(entry.hours_earlier == 8 for entry in entries)
    assert all(entry.why_here.startswith("Not read by the network") for entry in entries)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.WITHHELD, "Not read by the network. Placed"),
        (Outcome.FAILED, "Not read by the network: screening failed. Placed"),
    ],
)
def test_why_a_study_that_was_not_read_is_here_stays_so_once_it_is_held_and_signed(
    blobs: Blobs, database: str, outcome: Outcome, words: str
) -> None:
    study_id = an_admitted_study(blobs).study_id
    with transaction() as session:
        a_bundle(session)
        [job] = claimed(session)
        record(session, job, image_read(job.images[0].image_id, outcome=outcome, reason="It was so."))
        alice = a_user(session, "alice", Role.RADIOLOGIST)
    for state in (outcome.value, "claimed", "signed"):
        with transaction() as session:
            if state == "claimed":
                review.claim(session, study_id=study_id, by=alice, minutes=5)
            elif state == "signed":
                review.sign(
                    session,
                    study_id=study_id,
                    by=alice,
                    revision=revision_of(study_id),
                    confirm=False,
                    findings={"pneumonia": Statement.ABSENT},
                )
        with transaction() as session:
            listed = worklist.entries(session, study_ids=[study_id], to=alice)[0]
            shown = studies.show(session, study_id=study_id, to=alice).entry
        assert [entry.state.value for entry in (listed, shown)] == [state] * 2
        assert listed.why_here == shown.why_here
        assert listed.why_here.startswith(words)


def test_counts_say_what_waits_and_for_how_long(blobs: Blobs, database: str) -> None:
    with transaction() as session:
        assert worklist.counts(session, due_before=now(), to=SYSTEM).oldest_unscreened_seconds is None
    a_screened_study(blobs)
    waiting = an_admitted_study(blobs).study_id
    with transaction() as session:
        hour_ago = now() - timedelta(hours=1)
        session.execute(
            update(Study).where(Study.id == waiting).values(arrived_at=hour_ago, rank_at=hour_ago)
        )
        counts = worklist.counts(session, due_before=now() - timedelta(minutes=30), to=SYSTEM)
    assert (counts.unsigned, counts.unread_by_network, counts.due_now) == (2, 1, 2)
    assert counts.oldest_unscreened_seconds == pytest.approx(3600, abs=60)


def test_a_study_that_the_network_has_not_read_is_counted_as_such_though_somebody_has_opened_it(
    blobs: Blobs, database: str
) -> None:
    a_screened_study(blobs)
    opened = an_admitted_study(blobs).study_id
    an_admitted_study(blobs)
    with transaction() as session:
        grace = a_user(session, "grace", Role.RADIOLOGIST)
        review.claim(session, study_id=opened, by=grace, minutes=15)
    unread = filter_of({"lane": "unread"})
    with transaction() as session:
        counts = worklist.counts(session, due_before=now(), to=grace)
        under_filter = worklist.counts(session, due_before=now(), where=unread, to=grace)
        listed = worklist.page(session, where=unread, to=grace).entries
    assert opened in {entry.study_id for entry in listed}
    assert (counts.unsigned, counts.unread_by_network, len(listed)) == (3, 2, 2)
    assert (under_filter.unsigned, under_filter.unread_by_network) == (2, 2)


def test_the_page_is_one_range_scan_of_the_worklist_index(blobs: Blobs, database: str) -> None:
    with transaction() as session:
        session.execute(
            text(
                """
                INSERT INTO studies (id, study_instance_uid, patient_id, issuer_of_patient_id,
                    unidentified_as, source, received_via, purpose, is_sample, priority, state, revision,
                    arrived_at, rank_at,
                    order_credit, network_credit, screening_due, screening_attempts, screening_lacked_network)
                SELECT gen_random_uuid(), '2.25.' || n, '', '', '', 'test', 'rest', 'current', false,
                    'routine',
                    CASE WHEN n % 50 = 0 THEN 'screened' ELSE 'signed' END, 1,
                    now() - n * interval '1 s', now() - n * interval '1 s', '0', '0', false, 0, false
                FROM generate_series(1, 20000) n
                """,
            ),
        )
        session.execute(
            text("UPDATE studies SET signed_at = now(), signed_by_name = 'x' WHERE state = 'signed'")
        )
    with transaction() as session:
        session.execute(text("ANALYZE studies"))
        plan = "\n".join(
            session.scalars(
                text(
                    "EXPLAIN SELECT * FROM studies "
                    "WHERE state NOT IN ('signed', 'amended') AND purpose = 'current' "
                    "AND (rank_at, id) > (now() - interval '1 day', gen_random_uuid()) "
                    "ORDER BY rank_at, id LIMIT 51"
                ),
            ),
        )
    assert "ix_studies_worklist" in plan
    assert "Sort" not in plan


def test_a_study_is_found_by_uid_and_by_accession_number(blobs: Blobs, database: str) -> None:
    with transaction() as session:
        one = admit(session, blobs, a_dicom(study_instance_uid="2.25.1", tags={"AccessionNumber": "A1"}))
        admit(session, blobs, a_dicom(tags={"AccessionNumber": "A2"}))
    with transaction() as session:
        assert studies.find(session, study_instance_uid="2.25.1", accession_number=None) == [one.study_id]
        assert studies.find(session, study_instance_uid=None, accession_number="A1") == [one.study_id]
        assert studies.find(session, study_instance_uid="2.25.1", accession_number="A2") == []
