"""A database of so many studies, made inside PostgreSQL: the archive of a hospital after years.

Studies come in every 43 seconds (2,000 a day), the newest now. All but the newest `waiting` are signed; of
those that wait, the network has read most, some are withheld, failed, due or held. A patient has three
studies on average, one study in thirty is a prior, one signed in fifty was amended. Each study has an image,
a reading with its image's, three audit events and a delivery; each that is signed a review and one more
delivery.

Every row begins as what the records make of a new one (`_first_rows`), so a column with a default is filled
as the service fills it; what tells the rows apart is drawn from the number of the study.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.commands import people, registry
from app.domain.order import Credits
from app.domain.roles import SYSTEM, Role
from app.records import (
    AuditEvent,
    Delivery,
    Destination,
    Image,
    ImageReading,
    Reading,
    Review,
    Study,
    User,
)
from app.records.base import Base, now

BUNDLE = "a" * 64
EVERY_SECONDS = 43.2
READER = "dr.lee"
PASSWORD = "only for this bench"
"""Of the reader, who has every role."""
_CHUNK = 100_000

_DRAWN = """
CREATE UNLOGGED TABLE drawn AS
SELECT g, md5('study' || g)::uuid AS study, md5('image' || g)::uuid AS image,
    md5('reading' || g)::uuid AS reading, patient,
    {n} - g < {waiting} AND g % 30 <> 7 AS waits, g % 30 = 7 AS prior,
    now() - ({n} - g) * interval '{every} seconds' AS arrived,
    now() - greatest({n} - g - {waiting}, 0) * interval '{every} seconds' AS signed,
    CASE WHEN dice < 14 THEN 'rule-in' WHEN dice < 40 THEN 'abstain' WHEN dice < 90 THEN 'rule-out' END
        AS lane,
    dice, dice2,
    (ARRAY['Lee','Okafor','Garcia','Smith','Nguyen','Müller','Rossi','Kowalski','Sato','Haddad','Novak',
        'Silva','Ivanova','Jensen','Khan','Mbeki'])[1 + (patient % 16)]
        || (ARRAY['','-Brown','son','ova','inger','-Diaz','mann','stein'])[1 + (patient / 16 % 8)]
        || '^' || (ARRAY['Ada','Ben','Chloe','Dmitri','Elif','Farid','Grace','Hugo','Ines','Jonas',
        'Kemal','Lena','Mina','Noah','Olga','Pavel','Quinn','Rosa','Sven','Tara'])[1 + (patient / 128 % 20)]
        || ' ' || substr(md5('name' || patient), 1, 5)
        || CASE WHEN patient % 10 = 0
            THEN '=王^小' || (ARRAY['明','红','军','丽'])[1 + patient / 10 % 4] ELSE '' END AS name
FROM generate_series(1, {n}) AS g,
    LATERAL (SELECT abs(hashtext('p' || g)) % greatest({n} / 3, 1) AS patient,
        abs(hashtext('d' || g)) % 100 AS dice, abs(hashtext('e' || g)) % 100 AS dice2) AS thrown
"""

_FINDINGS = """jsonb_build_object('pneumonia', jsonb_build_object(
    'probability', round((CASE lane WHEN 'rule-in' THEN .8 + dice2 * .0019
        WHEN 'abstain' THEN .2 + dice2 * .005 ELSE dice2 * .001 END)::numeric, 3),
    'lane', lane, 'present', lane = 'rule-in' OR dice2 > 60 AND lane = 'abstain'))"""
_SAID = "jsonb_build_object('pneumonia', CASE WHEN dice < 14 THEN 'present' ELSE 'absent' END)"
_WAITING = """CASE WHEN NOT waits THEN jsonb_build_object(
        'state', CASE WHEN prior THEN 'admitted' WHEN dice2 = 1 OR dice2 = 2 THEN 'amended' ELSE 'signed' END,
        'signed_by_name', CASE WHEN NOT prior THEN 'dr.lee' END,
        'signed_at', CASE WHEN NOT prior THEN signed END)
    WHEN dice2 < 2 THEN jsonb_build_object('state', 'claimed', 'state_before_claim', 'screened',
        'claimed_by', '{reader}'::uuid, 'claimed_by_name', CASE dice2 WHEN 0 THEN 'dr.lee' ELSE 'dr.mora' END,
        'claimed_at', now(), 'claim_expires_at', now() + interval '1 hour')
    WHEN lane IS NULL AND dice2 < 60
        THEN jsonb_build_object('state', 'withheld', 'reason', 'The patient is 47 years old.')
    WHEN lane IS NULL AND dice2 < 80
        THEN jsonb_build_object('state', 'failed', 'reason', 'The file cannot be decoded.')
    WHEN lane IS NULL THEN jsonb_build_object('state', 'admitted', 'screening_due', true)
    ELSE jsonb_build_object('state', 'screened') END"""

_ROWS = {
    "studies": (
        "TRUE",
        """jsonb_build_object('id', study, 'study_instance_uid', '1.2.826.0.1.3680043.8.498.' || g,
        'patient_id', 'P' || patient, 'patient_name', name, 'accession_number', 'A' || g,
        'patient_sex', (ARRAY['F','M'])[1 + patient % 2], 'age_years', 1 + patient % 17,
        'study_date', arrived::date, 'station_name', 'DX' || (g % 12),
        'modality', (ARRAY['DX','CR'])[1 + g % 2],
        'blind', g % 20 = 3, 'priority', CASE WHEN g % 50 = 1 THEN 'stat' ELSE 'routine' END,
        'purpose', CASE WHEN prior THEN 'prior' ELSE 'current' END, 'lane', CASE WHEN NOT prior THEN lane END,
        'urgency', CASE WHEN NOT prior THEN 1 - dice * .01 END, 'revision', CASE WHEN waits THEN 2 ELSE 3 END,
        'arrived_at', arrived, 'rank_at', arrived - CASE WHEN prior THEN interval '0'
            WHEN g % 50 = 1 THEN interval '{stat}' WHEN lane = 'abstain' THEN interval '{abstain}'
            WHEN lane = 'rule-out' THEN interval '0' ELSE interval '{rule_in}' END) || """
        + _WAITING,
    ),
    "images": (
        "TRUE",
        """jsonb_build_object('id', image, 'study_id', study, 'sha256', md5('a' || g) || md5('b' || g),
        'sop_instance_uid', '1.3.' || g, 'series_instance_uid', '1.4.' || g, 'arrived_at', arrived,
        'preview_sha256', md5('c' || g) || md5('d' || g))""",
    ),
    "readings": (
        "NOT prior AND (lane IS NOT NULL OR dice2 < 80)",
        """jsonb_build_object('id', reading, 'study_id', study, 'sequence', g, 'read_at', arrived,
        'lane', lane, 'urgency', 1 - dice * .01) || CASE WHEN lane IS NULL
        THEN jsonb_build_object('outcome', 'withheld', 'reason', 'The patient is 47 years old.',
            'findings', '{{}}'::jsonb)
        ELSE jsonb_build_object('outcome', 'screened', 'findings', """
        + _FINDINGS
        + ") END",
    ),
    "image_readings": (
        "NOT prior AND (lane IS NOT NULL OR dice2 < 80)",
        """jsonb_build_object('id', md5('image_reading' || g)::uuid, 'reading_id', reading, 'image_id', image)
        || CASE WHEN lane IS NULL
        THEN jsonb_build_object('outcome', 'withheld', 'reason', 'The patient is 47 years old.',
            'findings', '{{}}'::jsonb)
        ELSE jsonb_build_object('outcome', 'screened', 'findings', """
        + _FINDINGS
        + ") END",
    ),
    "reviews": (
        "NOT waits AND NOT prior",
        """jsonb_build_object('id', md5('review' || g)::uuid, 'study_id', study, 'sequence', g, 'reading_id',
        CASE WHEN lane IS NOT NULL THEN reading END, 'signed_at', signed, 'findings', """
        + _SAID
        + ", 'network_findings', CASE WHEN lane IS NULL THEN '{{}}'::jsonb ELSE "
        + _FINDINGS
        + " END)",
    ),
    "audit_events": (
        "TRUE",
        """jsonb_build_object('id', 3 * g - {offset}, 'at', {moment}, 'action', '{action}', 'study_id', study,
        'actor_name', '{actor}', 'details', jsonb_build_object('via', 'page'))""",
    ),
    "deliveries": (
        "NOT prior AND NOT (waits AND '{event}' = 'review.signed')",
        """jsonb_build_object('id', md5('{event}' || g)::uuid, 'study_id', study, 'event', '{event}',
        'created_at', arrived, 'delivered_at', arrived, 'payload', jsonb_build_object('event', '{event}'))
        || CASE WHEN g % 20011 = 11 THEN
        jsonb_build_object('state', 'dead', 'delivered_at', NULL, 'attempts', 8,
            'last_error', 'It answered 500.')
        ELSE jsonb_build_object('state', 'delivered') END""",
    ),
}
"""Of each table: which studies have a row, and what tells it from the first one."""

_INSERT = """
INSERT INTO {table} OVERRIDING SYSTEM VALUE
SELECT row.* FROM (SELECT of_first.document || {told} AS document FROM drawn, first_{table} AS of_first
    WHERE g BETWEEN {first} AND {last} AND ({which})) AS drawn,
    LATERAL jsonb_populate_record(NULL::{table}, drawn.document) AS row
"""


def _first_rows(reader: UUID) -> list[Base]:
    """What all others are like but for what is drawn."""
    study = Study(
        id=UUID(int=1),
        study_instance_uid="1.2",
        source="modality",
        received_via="stow",
        study_description="Chest PA",
        rank_at=now(),
        order_credit=timedelta(0),
        network_credit=timedelta(0),
        screening_due=False,
    )
    image = Image(
        id=UUID(int=2),
        study_id=study.id,
        sha256="first",
        byte_size=1_000_000,
        media_type="application/dicom",
        sop_instance_uid="1.3",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.4",
        rows=1328,
        columns=1032,
        modality="DX",
        view_position="PA",
        header={
            "modality": "DX",
            "view_position": "PA",
            "pixel_spacing": [0.17, 0.17],
            "station_name": "DX1",
        },
        attributes={},
        source="modality",
        received_via="stow",
    )
    reading = Reading(
        id=UUID(int=3),
        study_id=study.id,
        bundle_sha256=BUNDLE,
        runtime="openvino/CPU",
        outcome="screened",
        lane="rule-in",
        urgency=0.9,
        findings={},
        notices=[],
    )
    image_reading = ImageReading(
        id=UUID(int=4), reading_id=reading.id, image_id=image.id, outcome="screened", findings={}, notices=[]
    )
    review = Review(
        id=UUID(int=5),
        study_id=study.id,
        study_revision=2,
        bundle_sha256=BUNDLE,
        reviewer_kind="user",
        reviewer_id=reader,
        reviewer_name=READER,
        verdict="confirmed",
        findings={},
        network_findings={},
        image_ids=[],
        comment="",
    )
    event = AuditEvent(action="study.viewed", actor_kind="user", actor_name=READER, details={})
    destination = Destination(
        id=UUID(int=6), name="ris", url="https://ris.example/hook", secret="", created_by_name="admin"
    )
    message = Delivery(
        id=UUID(int=7), destination_id=destination.id, study_id=study.id, event="study.read", payload={}
    )
    return [study, image, reading, image_reading, review, event, destination, message]


def fill(connection: psycopg.Connection[Any], engine: Engine, *, studies: int, waiting: int) -> float:
    """So many studies are there, indexed and analysed; returns seconds."""
    started = time.monotonic()
    with Session(engine) as session, session.begin():
        once = people.add_user(session, username=READER, display_name="Dr Lee", roles=list(Role), by=SYSTEM)
        reader = session.scalars(select(User.id)).one()
        people.change_password(session, user_id=reader, current=once, new=PASSWORD, by=SYSTEM)
        registry.register(session, sha256=BUNDLE, manifest=_MANIFEST, by=SYSTEM)
        registry.promote(session, sha256=BUNDLE, by=SYSTEM, reason="bench")
    with Session(engine) as session, session.begin():
        for row in _first_rows(reader):
            session.add(row)
            session.flush()
    for table in _ROWS:
        connection.execute(
            f"CREATE TEMPORARY TABLE first_{table} AS"
            f" SELECT to_jsonb({table}) AS document FROM {table} LIMIT 1".encode()
        )
    connection.execute("SET session_replication_role = replica")  # foreign keys hold by construction
    drawn = _DRAWN.format(n=studies, waiting=waiting, every=EVERY_SECONDS)
    connection.execute(drawn.encode())
    with _without_indexes(connection):
        connection.execute(f"TRUNCATE {', '.join(_ROWS)} CASCADE".encode())
        for insert in _inserts(studies, reader):
            connection.execute(insert.encode())
    connection.execute("DROP TABLE drawn")
    for table, column in (("audit_events", "id"), ("readings", "sequence"), ("reviews", "sequence")):
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"
            f" max({column})) FROM {table}".encode()
        )
    connection.execute("VACUUM ANALYZE")
    return time.monotonic() - started


_MANIFEST = {
    "name": "bench",
    "version": "1",
    "findings": [{"name": "pneumonia", "research": False}],
}


def _inserts(studies: int, reader: UUID) -> Iterator[str]:
    credits = Credits()
    facts = {
        "reader": reader,
        "stat": f"{credits.stat.total_seconds():g} seconds",
        "abstain": f"{credits.abstain.total_seconds():g} seconds",
        "rule_in": f"{credits.rule_in.total_seconds():g} seconds",
    }
    variants = {
        "audit_events": [
            {"offset": 2, "moment": "arrived", "action": "study.admitted", "actor": "modality"},
            {"offset": 1, "moment": "signed", "action": "study.viewed", "actor": READER},
            {"offset": 0, "moment": "signed", "action": "study.signed", "actor": READER},
        ],
        "deliveries": [{"event": "study.read"}, {"event": "review.signed"}],
    }
    for table, (which, told) in _ROWS.items():
        for variant in variants.get(table, [{}]):
            for first in range(1, studies + 1, _CHUNK):
                values: dict[str, Any] = {**facts, **variant}
                yield _INSERT.format(
                    table=table,
                    told=told.format(**values),
                    which=which.format(**values),
                    first=first,
                    last=min(first + _CHUNK - 1, studies),
                )


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """The filled tables' indexes and keys are built after the rows, which is much faster; then all stand."""
    tables = list(_ROWS)
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), contype::text"
        " FROM pg_constraint"
        " WHERE contype IN ('p', 'u', 'f') AND (conrelid::regclass::text = ANY(%s)"
        " OR confrelid::regclass::text = ANY(%s)) ORDER BY contype = 'f' DESC",
        (tables, tables),
    ).fetchall()
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN"
        " (SELECT conname FROM pg_constraint)",
        (tables,),
    ).fetchall()
    for table, name, _, _ in constraints:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for table, name, definition, kind in reversed(constraints):
        late = " NOT VALID" if kind == "f" else ""
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{late}".encode())
    for _, definition in indexes:
        connection.execute(definition.encode())
