"""Similar confirmed cases: a million signed studies against ten thousand, and the share of the nearest found.

    .venv/bin/python -m bench.similar [--rows 1000000] [--base 10000] [--queries 200]

A PostgreSQL of the bench's own with two databases, migrated as any; studies, images and reviews made of
numbers, every hundredth row read by another bundle. The embeddings are Gaussian, the spread of the n-th
direction falling as n to the power -0.7, much as the spectrum of a network's pooled features does;
radiographs lie in fewer dimensions and should be easier. The query is the application's
(`app.queries.similar.nearest`), with all that it asks of a case. The baselines are the same query over the
smaller number of rows, in turn with the larger so that both meet the same load, and the exact answer, for
which numpy looks at every row.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.embedded.postgres import EmbeddedPostgres
from app.queries.similar import nearest
from app.records import Image, Review, Study
from app.records.base import Base, now
from app.records.engine import build_engine
from migrations import upgrade

SIZE = 8
"""Cases a page shows."""
COMMON, RARE = "a" * 64, "b" * 64
RARE_EVERY, RARE_OF = 100, 1
"""Row 1, 101, 201, ... was read by the rare bundle: one in a hundred, scattered among the others."""
_SIDE = 128
_CHUNK = 20_000
_TURN = 10
_COPY_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("g_length", ">i4"),
        ("g", ">i4"),
        ("e_length", ">i4"),
        ("dimensions", ">i2"),
        ("unused", ">i2"),
        ("e", ">f2", _SIDE),
    ]
)
"""A row of PostgreSQL's binary COPY: an int4 and a halfvec."""
_COPY_HEAD, _COPY_TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_SPECTRUM = np.arange(1, _SIDE + 1) ** -0.7

_NUMBERED = {
    "studies": (
        "jsonb_build_object('id', md5('study' || g)::uuid, 'study_instance_uid', '1.2.' || g,"
        " 'patient_id', 'p' || g / 3, 'state', CASE WHEN g % 50 = 0 THEN 'reopened' ELSE 'signed' END)"
    ),
    "images": (
        "jsonb_build_object('id', md5('image' || g)::uuid, 'study_id', md5('study' || g)::uuid,"
        " 'sha256', md5('bytes' || g), 'sop_instance_uid', '1.3.' || g)"
    ),
    "reviews": (
        "jsonb_build_object('id', md5('review' || g)::uuid, 'study_id', md5('study' || g)::uuid,"
        " 'sequence', g)"
    ),
}
"""What tells row `g` of a table from its first row."""
_ROWS = """
INSERT INTO {table} OVERRIDING SYSTEM VALUE
SELECT row.* FROM generate_series({first}, {last}) AS g, first_{table} AS of_first,
    LATERAL jsonb_populate_record(NULL::{table}, of_first.document || {numbered}) AS row;
"""
_CASES = """
INSERT INTO confirmed_cases (study_id, image_id, reading_id, bundle_sha256, embedding, kept_at, settled)
SELECT md5('study' || g)::uuid, md5('image' || g)::uuid, md5('reading' || g)::uuid,
    CASE WHEN g % {rare} = 1 THEN '{b}' ELSE '{a}' END, e, now(), true
FROM drawn;
TRUNCATE drawn;
"""


def first_rows() -> list[Base]:
    """A signed study, its image and its review: what all others are like but for their numbers."""
    yesterday = now() - timedelta(days=1)
    study = Study(
        id=UUID(int=1),
        study_instance_uid="1.2",
        source="bench",
        received_via="stow",
        state="signed",
        rank_at=now() - timedelta(hours=8),
        order_credit=timedelta(0),
        network_credit=timedelta(hours=8),
        screening_due=False,
        signed_by_name="dr.lee",
        signed_at=yesterday,
        age_years=4,
    )
    image = Image(
        id=UUID(int=2),
        study_id=study.id,
        sha256="first",
        byte_size=1,
        media_type="application/dicom",
        sop_instance_uid="1.3",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.4",
        header={},
        attributes={},
        source="bench",
        received_via="stow",
    )
    review = Review(
        study_id=study.id,
        study_revision=2,
        reviewer_kind="user",
        reviewer_id=UUID(int=3),
        reviewer_name="dr.lee",
        verdict="confirmed",
        findings={"pneumonia": "present"},
        network_findings={"pneumonia": {"present": True, "probability": 0.9, "lane": "rule-in"}},
        image_ids=[],
        comment="",
    )
    return [study, image, review]


@dataclass
class Cases:
    """The rows there are, and their embeddings as PostgreSQL holds them: float16 (rows, 128)."""

    connection: psycopg.Connection[Any]
    engine: Engine
    rng: np.random.Generator
    embeddings: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, _SIDE), np.float16))

    def draw(self, count: int) -> NDArray[np.float16]:
        """Embeddings of length 1, float16 (count, 128)."""
        rows = self.rng.standard_normal((count, _SIDE), dtype=np.float32) * _SPECTRUM
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float16)

    def fill(self, rows: int) -> float:
        """So many rows are there, without the index over their embeddings; returns seconds."""
        started = time.monotonic()
        self.connection.execute("DROP INDEX ix_confirmed_cases_embedding")
        self.connection.execute("SET session_replication_role = replica")  # foreign keys hold by construction
        self.connection.execute("CREATE TEMPORARY TABLE drawn (g int, e halfvec(128))")
        with Session(self.engine) as session, session.begin():
            for row in first_rows():
                session.add(row)
                session.flush()
        for table in _NUMBERED:
            first_row = f"SELECT to_jsonb({table}) AS document FROM {table}"
            self.connection.execute(f"CREATE TEMPORARY TABLE first_{table} AS {first_row}".encode())
        fresh = []
        for first in range(0, rows, _CHUNK):
            fresh.append(self.draw(min(_CHUNK, rows - first)))
            chunk = np.zeros(len(fresh[-1]), _COPY_ROW)
            chunk["fields"], chunk["g_length"], chunk["e_length"] = 2, 4, 4 + 2 * _SIDE
            chunk["g"], chunk["dimensions"], chunk["e"] = first + np.arange(len(chunk)), _SIDE, fresh[-1]
            with self.connection.cursor().copy("COPY drawn FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.write(_COPY_HEAD + chunk.tobytes() + _COPY_TAIL)
            last = first + len(chunk) - 1
            for table, numbered in _NUMBERED.items():
                rows_ = _ROWS.format(table=table, first=first, last=last, numbered=numbered)
                self.connection.execute(rows_.encode())
            self.connection.execute(_CASES.format(rare=RARE_EVERY, a=COMMON, b=RARE).encode())
        self.embeddings = np.concatenate(fresh)
        return time.monotonic() - started

    def index(self) -> tuple[float, int]:
        """Seconds to build the index from nothing, and its bytes."""
        self.connection.execute("SET maintenance_work_mem = '2GB'")
        started = time.monotonic()
        self.connection.execute(
            "CREATE INDEX ix_confirmed_cases_embedding ON confirmed_cases"
            " USING hnsw (embedding halfvec_ip_ops) WHERE settled"
        )
        seconds = time.monotonic() - started
        self.connection.execute("VACUUM ANALYZE")
        size = self.connection.execute("SELECT pg_relation_size('ix_confirmed_cases_embedding')").fetchone()
        assert size is not None
        return seconds, int(size[0])

    def exact(self, queries: NDArray[np.float16], *, bundle: str) -> list[set[UUID]]:
        """The studies that are nearest, of those that may be shown."""
        numbers = np.arange(len(self.embeddings))
        may = (numbers % 50 != 0) & ((numbers % RARE_EVERY == RARE_OF) == (bundle == RARE))
        likeness = np.full((len(queries), len(numbers)), -np.inf, np.float32)
        for first in range(0, len(numbers), _CHUNK):
            part = slice(first, first + _CHUNK)
            likeness[:, part] = queries.astype(np.float32) @ self.embeddings[part].astype(np.float32).T
        likeness[:, ~may] = -np.inf
        nearest_ones = np.argpartition(-likeness, SIZE, axis=1)[:, :SIZE]
        return [{_study_id(int(number)) for number in row} for row in nearest_ones]

    def ask(self, queries: NDArray[np.float16], *, bundle: str) -> tuple[list[float], list[set[UUID]]]:
        """Milliseconds and studies of each query, each in a transaction as a request's is."""
        nobody = Study(
            id=UUID(int=0), patient_id="nobody", issuer_of_patient_id="", unidentified_as="", is_sample=False
        )
        took, found = [], []
        for query in queries:
            embedding = [float(value) for value in query]
            with Session(self.engine) as session:
                started = time.monotonic()
                rows = nearest(session, embedding, bundle_sha256=bundle, study=nobody, size=SIZE)
                took.append((time.monotonic() - started) * 1000)
            found.append({row.study_id for row in rows})
        return took, found

    def processor_seconds(self) -> float:
        """What the backend that answers `ask` has computed until now; a busy machine disturbs it least."""
        with self.engine.connect() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def one_more(self, count: int) -> tuple[float, float]:
        """Milliseconds a signature pays for its case's row, and the sweeper for its entry in the index."""
        spent = []
        with self.connection.transaction(force_rollback=True):
            drawn = [str(row.tolist()) for row in self.draw(count)]
            for statement in (
                "INSERT INTO confirmed_cases SELECT md5('more' || %s)::uuid, image_id, reading_id,"
                " bundle_sha256, %s::halfvec, now(), false FROM confirmed_cases LIMIT 1",
                "UPDATE confirmed_cases SET settled = true WHERE study_id = md5('more' || %s)::uuid"
                " AND %s::text IS NOT NULL",
            ):
                started = time.monotonic()
                for number, vector in enumerate(drawn):
                    self.connection.execute(statement, (str(number), vector))
                spent.append((time.monotonic() - started) * 1000 / count)
        return spent[0], spent[1]


def _study_id(number: int) -> UUID:
    return UUID(hashlib.md5(f"study{number}".encode(), usedforsecurity=False).hexdigest())


def make(server: EmbeddedPostgres, stack: ExitStack, *, rows: int, seed: int) -> Cases:
    """A database of so many signed studies, indexed; says what that took."""
    name = f"of_{rows}"
    with psycopg.connect(_plain(server.url_of("postgres")), autocommit=True) as administration:
        administration.execute(f"CREATE DATABASE {name}".encode())
    url = server.url_of(name)
    upgrade(url)
    connection = stack.enter_context(psycopg.connect(_plain(url), autocommit=True))
    engine = build_engine(url)
    stack.callback(engine.dispose)
    cases = Cases(connection, engine, np.random.default_rng(seed))
    filled = cases.fill(rows)
    built, size = cases.index()
    print(
        f"{rows:>9,} rows: filled in {filled:.0f} s, index built in {built:.0f} s, {size / 2**20:.0f} MB",
        flush=True,
    )
    return cases


def compare(small: Cases, large: Cases, *, count: int, bundle: str, name: str) -> None:
    """The same number of queries to both, a few at a time in turn."""
    queries = large.draw(count)
    took: dict[int, list[float]] = {id(small): [], id(large): []}
    found: dict[int, list[set[UUID]]] = {id(small): [], id(large): []}
    for warm in (small, large):
        warm.ask(queries[: count // 4], bundle=bundle)
    spent = {id(cases): -cases.processor_seconds() for cases in (small, large)}
    for first in range(0, count, _TURN):
        for cases in (small, large):
            milliseconds, studies = cases.ask(queries[first : first + _TURN], bundle=bundle)
            took[id(cases)] += milliseconds
            found[id(cases)] += studies
    medians, processor = [], []
    for cases in (small, large):
        spent[id(cases)] += cases.processor_seconds()
        processor.append(spent[id(cases)] * 1000 / count)
        best = cases.exact(queries, bundle=bundle)
        recall = np.mean([len(a & b) / SIZE for a, b in zip(found[id(cases)], best, strict=True)])
        p50, p95 = np.percentile(took[id(cases)], [50, 95])
        medians.append(p50)
        print(
            f"{name} bundle, {len(cases.embeddings):>9,} rows: p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   "
            f"PostgreSQL's processor {processor[-1]:6.2f} ms   recall of {SIZE}: {recall:.3f}"
        )
    print(
        f"{name} bundle: {medians[1] / medians[0]:.2f} x the time, "
        f"{processor[1] / processor[0]:.2f} x the processor time",
        flush=True,
    )


def _plain(url: str) -> str:
    return url.replace("+psycopg", "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--base", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    with EmbeddedPostgres.temporary() as server, ExitStack() as stack:
        small = make(server, stack, rows=arguments.base, seed=20_261)
        large = make(server, stack, rows=arguments.rows, seed=20_262)
        for name, bundle in (("common", COMMON), ("rare", RARE)):
            compare(small, large, count=arguments.queries, bundle=bundle, name=name)
        for cases in (small, large):
            row, entry = cases.one_more(arguments.queries)
            count = len(cases.embeddings)
            print(
                f"one more beside {count:,} rows: its row {row:.2f} ms, its entry in the index {entry:.2f} ms"
            )


if __name__ == "__main__":
    main()
