"""The migrations and the records say the same, and the way back is open."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from app.blobs import Blobs
from app.commands import review, withdrawal
from app.commands.backup_contents import BLOBS
from app.domain.roles import Role
from app.records import Base, Study
from app.records.engine import transaction
from migrations import downgrade, newest_revision, upgrade
from tests.builders import a_screened_study, a_user


def test_a_migrated_database_is_what_the_records_describe(database: str) -> None:
    with create_engine(database, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == newest_revision()
        assert compare_metadata(context, Base.metadata) == []


def test_what_is_deleted_is_sought_by_an_index_wherever_rows_may_refer_to_it(database: str) -> None:
    """As the foreign keys ask it, for each row that goes; a million deliveries are not read through."""
    deleted = {"studies", "images", "readings", "image_readings", "reviews"}
    referring = [
        (table.name, key.parent.name)
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in deleted
    ]
    assert len(referring) > 20
    named = [(table, column) for table, column in BLOBS if table in ("images", "dataset_files")]
    with create_engine(database, poolclass=NullPool).begin() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET plan_cache_mode = force_generic_plan"))
        for number, (table, column) in enumerate(referring + named):
            asked = f"SELECT FROM ONLY {table} x WHERE $1 = {column} FOR KEY SHARE OF x"
            connection.exec_driver_sql(f"PREPARE asked_{number} AS {asked}")
            value = "'" + "0" * 64 + "'" if column.endswith("sha256") else f"'{uuid4()}'"
            plan = connection.exec_driver_sql(f"EXPLAIN EXECUTE asked_{number}({value})").scalars().all()
            assert any("Index Cond" in line for line in plan), (table, column, plan)


def test_every_migration_can_be_undone_and_done_again(database: str) -> None:
    downgrade(database, "base")
    engine = create_engine(database, poolclass=NullPool)
    assert inspect(engine).get_table_names() in ([], ["alembic_version"])
    upgrade(database)
    assert "studies" in inspect(engine).get_table_names()


def test_the_reading_that_stood_before_the_upgrade_stands_after_it(database: str) -> None:
    downgrade(database, "0001")
    engine = create_engine(database, poolclass=NullPool)
    study, older, newer = uuid4(), uuid4(), uuid4()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO studies (id, study_instance_uid, patient_id, issuer_of_patient_id,"
                " unidentified_as, source, received_via, purpose, is_sample, priority, state, revision,"
                " arrived_at, rank_at, order_credit, network_credit, screening_due, screening_attempts)"
                " VALUES (:id, '1.2', '', '', '', 'x', 'rest', 'current', false, 'routine', 'withheld', 1,"
                " now(), now(), '0', '0', false, 0)"
            ),
            {"id": study},
        )
        for reading, hours in ((newer, 1), (older, 2)):  # the newer one is stored first
            connection.execute(
                text(
                    "INSERT INTO readings (id, study_id, outcome, reason, findings, notices, read_at) VALUES"
                    " (:id, :study, 'withheld', 'No chest.', '{}', '[]', now() - :hours * interval '1 hour')"
                ),
                {"id": reading, "study": study, "hours": hours},
            )
    upgrade(database)
    with engine.begin() as connection:
        later = connection.execute(
            text(
                "INSERT INTO readings (id, study_id, outcome, reason, findings, notices, read_at) VALUES"
                " (gen_random_uuid(), :study, 'withheld', 'No chest.', '{}', '[]', now() - interval '1 day')"
                " RETURNING id"
            ),
            {"study": study},
        ).scalar_one()
        order = connection.execute(text("SELECT id FROM readings ORDER BY sequence")).scalars().all()
    assert order == [older, newer, later]
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
        connection.execute(text("UPDATE readings SET sequence = DEFAULT"))


def test_a_signature_that_was_taken_back_does_not_come_back_by_a_downgrade(
    database: str, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        alice = a_user(session, "alice", Role.RADIOLOGIST)
    with transaction() as session:
        revision = session.get_one(Study, study_id).revision
        signed = review.sign(
            session,
            study_id=study_id,
            by=alice,
            revision=revision,
            confirm=True,
            findings={},
            undo=timedelta(seconds=60),
        )
        withdrawal.withdraw(session, study_id=study_id, review_id=signed.review_id, by=alice, minutes=5)
    with pytest.raises(RuntimeError, match="taken back"):
        downgrade(database, "0011")
    upgrade(database)


def test_what_had_failed_for_want_of_a_network_is_still_known_after_the_upgrade(database: str) -> None:
    downgrade(database, "0005")
    engine = create_engine(database, poolclass=NullPool)
    reasons = {
        uuid4(): "The network could not be loaded. It is cut off.",
        uuid4(): "The stored bytes are gone.",
    }
    with engine.begin() as connection:
        for study, reason in reasons.items():
            connection.execute(
                text(
                    "INSERT INTO studies (id, study_instance_uid, patient_id, issuer_of_patient_id,"
                    " unidentified_as, source, received_via, purpose, is_sample, priority, state, revision,"
                    " arrived_at, rank_at, order_credit, network_credit, screening_due, screening_attempts)"
                    " VALUES (:id, :uid, '', '', '', 'x', 'rest', 'current', false, 'routine', 'failed', 1,"
                    " now(), now(), '0', '0', false, 0)"
                ),
                {"id": study, "uid": str(study)},
            )
            connection.execute(
                text(
                    "INSERT INTO readings (id, study_id, outcome, reason, findings, notices, read_at) VALUES"
                    " (gen_random_uuid(), :study, 'failed', :reason, '{}', '[]', now())"
                ),
                {"study": study, "reason": reason},
            )
    upgrade(database)
    with engine.begin() as connection:
        lacked = text("SELECT id FROM studies WHERE screening_lacked_network")
        assert connection.execute(lacked).scalars().all() == list(reasons)[:1]
