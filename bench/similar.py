"""Similar confirmed cases: a million signed studies against ten thousand, and the share of the nearest found.

    .venv/bin/python -m bench.similar [--rows 1000000] [--base 10000] [--queries 200]

A PostgreSQL of the bench's own, migrated as any; studies, images and reviews made of numbers, embeddings
drawn with a spectrum that falls off, every hundredth row read by another bundle. The query is the
application's (`app.queries.similar.nearest`), with all that it asks of a case. The baselines are the same
query over the smaller number of rows, and the exact answer, for which numpy looks at every row.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.embedded.postgres import EmbeddedPostgres
from app.queries.similar import nearest
from app.records import Study
from app.records.engine import build_engine
from migrations import upgrade

SIZE = 8
"""Cases a page shows."""
COMMON, RARE = "a" * 64, "b" * 64
RARE_EVERY, RARE_OF = 100, 1
"""Row 1, 101, 201, ... was read by the rare bundle: one in a hundred, scattered among the others."""
_SIDE = 128
_CHUNK = 20_000
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
_SPECTRUM = np.arange(1, _SIDE + 1) ** -0.5

_FILL = """
INSERT INTO studies (id, study_instance_uid, patient_id, issuer_of_patient_id, unidentified_as, source,
    received_via, purpose, is_sample, priority, state, revision, arrived_at, rank_at, order_credit,
    network_credit, screening_due, screening_attempts, signed_by_name, signed_at, age_years)
SELECT md5('study' || g)::uuid, '1.2.' || g, 'p' || g / 3, '', '', 'bench', 'stow', 'current', false,
    'routine', CASE WHEN g % 50 = 0 THEN 'reopened' ELSE 'signed' END, 3, now(), now(), '0', '0', false, 0,
    'dr.lee', now() - interval '1 day', g % 6
FROM generate_series({first}, {last}) g;
INSERT INTO images (id, study_id, sha256, byte_size, media_type, sop_instance_uid, sop_class_uid,
    series_instance_uid, pixel_sha256, header, attributes, arrived_at, source, received_via)
SELECT md5('image' || g)::uuid, md5('study' || g)::uuid, md5('bytes' || g), 1, 'application/dicom',
    '1.3.' || g, '1.2', '1.4.' || g, md5('pixels' || g), '{{}}', '{{}}', now(), 'bench', 'stow'
FROM generate_series({first}, {last}) g;
INSERT INTO reviews (id, study_id, study_revision, reviewer_kind, reviewer_id, reviewer_name, verdict,
    findings, network_findings, image_ids, comment, signed_at)
SELECT md5('review' || g)::uuid, md5('study' || g)::uuid, 2, 'user', md5('reader')::uuid, 'dr.lee',
    'confirmed', '{{"pneumonia": "present"}}',
    '{{"pneumonia": {{"present": true, "probability": 0.9, "lane": "rule-in"}}}}', '[]', '', now()
FROM generate_series({first}, {last}) g;
INSERT INTO confirmed_cases (study_id, image_id, reading_id, bundle_sha256, embedding, kept_at)
SELECT md5('study' || g)::uuid, md5('image' || g)::uuid, md5('reading' || g)::uuid,
    CASE WHEN g % {rare} = 1 THEN '{b}' ELSE '{a}' END, e, now()
FROM drawn;
TRUNCATE drawn;
"""


@dataclass
class Cases:
    """The rows there are, and their embeddings as PostgreSQL holds them: float16 (rows, 128)."""

    connection: psycopg.Connection[Any]
    engine: Engine
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20_261))
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
        self.connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS drawn (g int, e halfvec(128))")
        there = len(self.embeddings)
        fresh = [self.embeddings]
        for first in range(there, rows, _CHUNK):
            fresh.append(self.draw(min(_CHUNK, rows - first)))
            chunk = np.zeros(len(fresh[-1]), _COPY_ROW)
            chunk["fields"], chunk["g_length"], chunk["e_length"] = 2, 4, 4 + 2 * _SIDE
            chunk["g"], chunk["dimensions"], chunk["e"] = first + np.arange(len(chunk)), _SIDE, fresh[-1]
            with self.connection.cursor().copy("COPY drawn FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.write(_COPY_HEAD + chunk.tobytes() + _COPY_TAIL)
            numbers = {"first": first, "last": first + len(chunk) - 1, "rare": RARE_EVERY}
            self.connection.execute(_FILL.format(**numbers, a=COMMON, b=RARE).encode())
        self.embeddings = np.concatenate(fresh)
        return time.monotonic() - started

    def index(self) -> tuple[float, int]:
        """Seconds to build the index from nothing, and its bytes."""
        self.connection.execute("SET maintenance_work_mem = '2GB'")
        started = time.monotonic()
        self.connection.execute(
            "CREATE INDEX ix_confirmed_cases_embedding ON confirmed_cases"
            " USING hnsw (embedding halfvec_ip_ops)"
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

    def ask(
        self, queries: NDArray[np.float16], *, bundle: str
    ) -> tuple[NDArray[np.float64], list[set[UUID]]]:
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
        return np.asarray(took), found

    def insert_milliseconds(self, count: int) -> float:
        """What a signature pays: one row into the index there is; the rows are taken back."""
        drawn = self.draw(count)
        with self.connection.transaction(force_rollback=True):
            started = time.monotonic()
            for row in drawn:
                self.connection.execute(
                    "INSERT INTO confirmed_cases SELECT gen_random_uuid(), image_id, reading_id,"
                    " bundle_sha256, %s::halfvec, now() FROM confirmed_cases LIMIT 1",
                    (str(row.tolist()),),
                )
            return (time.monotonic() - started) * 1000 / count


def _study_id(number: int) -> UUID:
    return UUID(hashlib.md5(f"study{number}".encode(), usedforsecurity=False).hexdigest())


def measure(cases: Cases, *, rows: int, count: int) -> dict[str, float]:
    """Fills up to `rows`, prints what was measured, and returns the medians by bundle."""
    filled = cases.fill(rows)
    built, size = cases.index()
    print(f"{rows:>9,} rows: filled in {filled:.0f} s, index built in {built:.0f} s, {size / 2**20:.0f} MB")
    queries = cases.draw(count)
    medians = {}
    for name, bundle in (("common", COMMON), ("rare", RARE)):
        cases.ask(queries[: max(count // 4, 1)], bundle=bundle)
        took, found = cases.ask(queries, bundle=bundle)
        best = cases.exact(queries, bundle=bundle)
        recall = np.mean([len(a & b) / SIZE for a, b in zip(found, best, strict=True)])
        p50, p95 = np.percentile(took, [50, 95])
        medians[name] = float(p50)
        print(
            f"{'':>9}  {name} bundle: p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   recall of {SIZE}: {recall:.3f}"
        )
    print(f"{'':>9}  one more row: {cases.insert_milliseconds(count):.2f} ms", flush=True)
    return medians


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--base", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    with EmbeddedPostgres.temporary() as server:
        upgrade(server.url)
        engine = build_engine(server.url)
        with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
            cases = Cases(connection, engine)
            small = measure(cases, rows=arguments.base, count=arguments.queries)
            large = measure(cases, rows=arguments.rows, count=arguments.queries)
        engine.dispose()
    for name, median in large.items():
        ratio = median / small[name]
        print(f"{name} bundle: {arguments.rows:,} rows take {ratio:.2f} x {arguments.base:,} rows")


if __name__ == "__main__":
    main()
