"""Filters and search of the worklist: who passes, and what is refused in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, update

from app.blobs import Blobs
from app.commands import review
from app.domain.order import Lane
from app.domain.roles import SYSTEM, Actor, Role
from app.errors import BadRequest
from app.queries import worklist
from app.queries.worklist_filter import WorklistFilter, filter_of
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import a_screened_study, a_signed_study, a_user, an_admitted_study


def shown(reader: str = "grace", **asked: str) -> list[UUID]:
    """What the reader sees under the filter, which is also what `passing` and `counts` say."""
    where, to = filter_of(asked), Actor(kind="key", id=None, name=reader)
    with transaction() as session:
        page = [entry.study_id for entry in worklist.page(session, where=where, to=to).entries]
        counts = worklist.counts(session, due_before=now(), where=where, to=to)
        everybody = [entry.study_id for entry in worklist.page(session, to=SYSTEM).entries]
        passing = worklist.passing(session, study_ids=everybody, where=where, to=to)
    assert counts.unsigned == len(page)
    assert passing == frozenset(page)
    return page


def change(study_id: UUID, **values: object) -> UUID:
    with transaction() as session:
        session.execute(update(Study).where(Study.id == study_id).values(**values))
    return study_id


def test_a_lane_or_what_the_network_has_not_read(database: str, blobs: Blobs) -> None:
    ruled_in = a_screened_study(blobs).study_id
    ruled_out = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.01).study_id
    unread = an_admitted_study(blobs).study_id
    assert shown(lane="rule-in") == [ruled_in]
    assert shown(lane="rule-out") == [ruled_out]
    assert shown(lane="unread") == [unread]
    assert shown(state="admitted") == [unread]
    assert shown(finding="pneumonia") == [ruled_in]
    assert shown(finding="effusion") == []
    assert shown() == [ruled_in, unread, ruled_out]


def test_station_age_and_time(database: str, blobs: Blobs) -> None:
    baby = change(an_admitted_study(blobs).study_id, station_name="ROOM 1", age_years=0.5)
    child = change(
        an_admitted_study(blobs).study_id,
        station_name="ROOM 2",
        age_years=5.0,
        arrived_at=now() - timedelta(hours=30),
        rank_at=now() - timedelta(hours=38),
    )
    nobody_knows = change(an_admitted_study(blobs).study_id, station_name=None, age_years=None)
    assert shown(station="ROOM 1") == [baby]
    assert shown(age_from="1") == [child]
    assert shown(age_below="1") == [baby]
    assert shown(age_from="0.5", age_below="5") == [baby]
    assert set(shown(hours="24")) == {baby, nobody_knows}
    with transaction() as session:
        assert worklist.stations(session) == ("ROOM 1", "ROOM 2")


def test_what_i_hold_what_others_hold_and_what_nobody_holds(database: str, blobs: Blobs) -> None:
    mine, theirs, lapsed, free = (a_screened_study(blobs).study_id for _ in range(4))
    with transaction() as session:
        grace, henri = (a_user(session, name, Role.RADIOLOGIST) for name in ("grace", "henri"))
        review.claim(session, study_id=mine, by=grace, minutes=5)
        review.claim(session, study_id=theirs, by=henri, minutes=5)
        review.claim(session, study_id=lapsed, by=henri, minutes=5)
    change(lapsed, claim_expires_at=now() - timedelta(seconds=1))
    assert shown(held="me") == [mine]
    assert shown(held="others") == [theirs]
    assert shown(held="nobody") == [lapsed, free]
    assert shown(reader="henri", held="me") == [theirs]


def test_a_filtered_list_goes_on_where_its_page_ended(database: str, blobs: Blobs) -> None:
    ruled_in = [a_screened_study(blobs).study_id for _ in range(3)]
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.01)
    where = filter_of({"lane": "rule-in"})
    with transaction() as session:
        first = worklist.page(session, size=2, where=where, to=SYSTEM)
        rest = worklist.page(session, size=2, where=where, cursor=first.next_cursor, to=SYSTEM)
    assert [entry.study_id for entry in (*first.entries, *rest.entries)] == ruled_in
    assert rest.next_cursor is None


def test_what_was_signed_today_stands_newest_first(database: str, blobs: Blobs) -> None:
    yesterday = a_signed_study(blobs, ago=timedelta(days=1))
    early, late = (a_signed_study(blobs, ago=timedelta(minutes=minutes)) for minutes in (9, 3))
    a_screened_study(blobs)
    since = now() - timedelta(hours=1)
    with transaction() as session:
        page = worklist.done(session, since=since, size=1, to=SYSTEM)
        rest = worklist.done(session, since=since, size=1, cursor=page.next_cursor, to=SYSTEM)
    assert [entry.study_id for entry in (*page.entries, *rest.entries)] == [late, early]
    assert rest.next_cursor is None
    assert page.entries[0].signed_by == "dr.lee"
    assert yesterday not in (late, early)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"lane": "urgent"}, "The filter lane is one of rule-in, abstain, rule-out, unread."),
        ({"held": "you"}, "The filter held is one of"),
        ({"state": "signed"}, "The filter state is one of"),
        ({"age_from": "three"}, "The filter age_from is a number from 0 to 150."),
        ({"age_below": "-1"}, "The filter age_below is a number"),
        ({"hours": "nan"}, "The filter hours is a number"),
        ({"hours": "inf"}, "The filter hours is a number"),
        ({"station": "x" * 65}, "The filter station has at most 64 characters."),
        ({"finding": "a\0b"}, "The filter finding has"),
    ],
)
def test_what_is_no_filter_is_refused_in_words(asked: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        filter_of(asked)


def test_the_address_holds_what_was_asked_and_nothing_else() -> None:
    asked = {"lane": "unread", "station": "R&D 1", "age_from": "1.50", "held": " ", "state": ""}
    where = filter_of(asked)
    assert where.query() == "lane=unread&station=R%26D+1&age_from=1.5"
    assert where.query(cursor="c", section=None) == where.query() + "&cursor=c"
    assert filter_of({}).is_empty and filter_of({}) == WorklistFilter()


def found(text_: str) -> set[str]:
    with transaction() as session:
        return {entry.patient_id for entry in worklist.search(session, text=text_, to=SYSTEM).entries}


def test_a_patient_is_found_by_name_id_and_accession_number(database: str, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="P-1", tags={"PatientName": "Müller^Anna", "AccessionNumber": "A77"})
    an_admitted_study(
        blobs,
        patient_id="P-2",
        tags={"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Wang^XiaoDong=王^小东"},
    )
    a_signed_study(blobs, patient_id="P-3", tags={"PatientName": "100%_sure^Anna"})
    assert found("P-1") == {"P-1"}
    assert found("A77") == {"P-1"}
    assert found("anna") == {"P-1", "P-3"}
    assert found("Anna, MÜLLER") == {"P-1"}
    assert found("小东") == {"P-2"}
    assert found("0%_s") == {"P-3"}
    assert found("%%") == found("__") == set()
    assert found("P-") == set()
    assert found("^,") == set()
    for refused in ("", " a ", "x" * 65, "a\0b"):
        with pytest.raises(BadRequest, match="Search for 2 to 64 characters"):
            found(refused)


def test_a_word_of_two_letters_is_looked_for_where_a_part_of_a_name_begins(
    database: str, blobs: Blobs
) -> None:
    an_admitted_study(blobs, patient_id="P-1", tags={"PatientName": "Li^Ann Mae"})
    an_admitted_study(blobs, patient_id="P-2", tags={"PatientName": "Oli-Lima^Uma"})
    assert found("li") == {"P-1", "P-2"}
    assert found("ma") == {"P-1"}
    assert found("Li ann") == {"P-1"}
    assert found("oli") == {"P-2"}


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("xyland", "ix_studies_patient_name"),
        ("qx", "ix_studies_patient_name"),
        ("小东", "ix_studies_name_grams"),
        ("Müller", "ix_studies_name_grams"),
        ("P-1", "ix_studies_patient_id"),
    ],
)
def test_a_search_goes_through_an_index(database: str, blobs: Blobs, wanted: str, index: str) -> None:
    asked: list[tuple[str, Any]] = []
    with transaction() as session:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
        worklist.search(session, text=wanted, to=SYSTEM)
    with transaction() as session:
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plans = [
            row[0]
            for statement, parameters in asked
            if statement.startswith("WITH passing")
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        ]
    assert index in "\n".join(plans)
