"""What training leaves in the database of `bench.archive`: datasets, snapshots, runs, candidates that were
judged, one that reads in shadow, exports; and deletions. As much of each as a hospital has after years.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import exporting, shadow, training
from app.domain.roles import SYSTEM
from app.records import Deletion, Job, Shadow, Snapshot, TrainingRun
from app.records.base import now
from tests.app.commands.candidates import a_stored_bundle, an_evaluation
from tests.app.commands.labelled import a_dataset, patients, taken
from tests.app.web.test_training import TOLD

DATASETS, PATIENTS, RUNS, CANDIDATES, DELETIONS = 10, 3_000, 60, 8, 40
STUDIES_OF_A_DELETION = 2_000
"""Retention takes so many a day at most."""
_SHADOWED = 60_000
"""Thirty days of 2,000 studies."""

_FACTS = {"rows": 1328, "columns": 1032, "thinks": "NORMAL", "thinks_probability": 0.8}

_READINGS_IN_SHADOW = """
INSERT INTO shadow_readings (id, shadow_id, reading_id, outcome, lane, urgency, findings, runtime, read_at)
SELECT gen_random_uuid(), %(shadow)s, id, outcome,
    CASE WHEN sequence %% 9 = 0 AND lane IS NOT NULL THEN 'abstain' ELSE lane END,
    urgency, findings, runtime, read_at
FROM readings WHERE outcome <> 'failed' ORDER BY sequence DESC LIMIT %(readings)s
"""


def fill(connection: psycopg.Connection[Any], engine: Engine, blobs: Blobs) -> None:
    """All that is there, analysed; the archive is filled already."""
    with Session(engine) as session, session.begin():
        datasets = [
            a_dataset(
                session,
                [
                    *patients(PATIENTS, prefix=f"{number}p", doubt=0.1, facts=_FACTS),
                    *patients(PATIENTS, label="NORMAL", prefix=f"{number}n", doubt=0.2, facts=_FACTS),
                ],
                name=f"Children {number}",
            )
            for number in range(DATASETS)
        ]
        for number in range(DATASETS):
            taken(session, blobs, *datasets[: number + 1], name=f"Snapshot {number}")
        snapshots = session.scalars(select(Snapshot.id)).all()
        candidates = [a_stored_bundle(session, blobs, str(number + 2)) for number in range(CANDIDATES)]
        for candidate in candidates:
            an_evaluation(session, blobs, candidate, snapshot=snapshots[-1])
        for number in range(RUNS):
            run_id, job_id = training.ask(
                session, snapshot_id=snapshots[number % DATASETS], mode="quick", by=SYSTEM
            )
            job = session.get_one(Job, job_id)
            job.told = TOLD
            job.state, job.said, job.ended_at = "cancelled", "Cancelled.", now()
        session.get_one(TrainingRun, run_id).candidate_sha256 = candidate
        for candidate in candidates:
            exporting.ask(session, sha256=candidate, format="onnx", by=SYSTEM)
        begun = session.get_one(Shadow, shadow.begin(session, sha256=candidate, by=SYSTEM))
        begun.begun_at = now() - timedelta(days=30)
        shadow_id = begun.id
        for number in range(DELETIONS):
            session.add(
                Deletion(
                    kind="retention",
                    reason="Their time was over.",
                    deleted_at=now() - timedelta(days=number),
                    deleted_by_name="sweeper",
                    counts={"studies": STUDIES_OF_A_DELETION},
                    studies=[str(uuid4()) for _ in range(STUDIES_OF_A_DELETION)],
                    images=[uuid4().hex * 2 for _ in range(STUDIES_OF_A_DELETION)],
                )
            )
    connection.execute(_READINGS_IN_SHADOW, {"shadow": shadow_id, "readings": _SHADOWED})
    connection.execute("ANALYZE")
