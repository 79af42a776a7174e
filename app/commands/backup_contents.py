"""What a backup holds of a database: which stored bytes its rows name, and how many rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Text,
    any_,
    bindparam,
    column,
    func,
    inspect,
    literal_column,
    select,
    table,
    text,
    union,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Select

BLOBS = (
    ("images", "sha256"),
    ("images", "preview_sha256"),
    ("bundles", "sha256"),
    ("bundle_exports", "sha256"),
    ("dataset_files", "sha256"),
    ("dataset_files", "thumbnail_sha256"),
    ("snapshots", "sha256"),
    ("snapshot_exports", "sha256"),
)
"""Columns that name blobs."""
BLOBS_WITHIN = (("evaluations", "outcome", "$.detail.mistakes[*].picture_sha256"),)
"""The same within JSON."""
NO_BLOBS = frozenset(
    {
        ("api_keys", "key_sha256"),
        ("sessions", "token_sha256"),
        ("evaluations", "test_sha256"),
        ("evaluation_orders", "test_sha256"),
        ("snapshots", "test_sha256"),
        ("test_patients", "test_sha256"),
        ("reviews", "bundle_sha256"),
        ("oidc_sign_ins", "state_sha256"),
        ("oidc_sign_ins", "browser_sha256"),
        ("recovery_codes", "code_sha256"),
        ("blob_removals", "sha256"),  # of what nobody names
        ("placed_images", "image_sha256"),  # of radiographs that are rows of images or dataset_files
    }
)
"""Hashes of something else, or of what a table above names; of foreign keys there is no need to speak."""
_AT_ONCE = 10_000


def blobs_named(connection: Connection) -> set[bytes]:
    """The digests of all stored bytes that rows name; 32 bytes each, as there may be millions.

    A schema of before a table or column came names none there.
    """
    names = union(*_selects(connection)).subquery()
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(select(names.c.sha256))
    return {bytes.fromhex(sha256) for (sha256,) in rows if sha256 is not None}


def still_named(connection: Connection, digests: set[bytes]) -> set[bytes]:
    """Those of `digests` that rows name now."""
    return digests & blobs_named(connection) if digests else set()


def named_among(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of the digests (hex) that rows of this version's schema name, as of now."""
    if not digests:
        return set()
    # Asked in each table, where there is an index: PostgreSQL pushes nothing into a union with one of JSON.
    # One array for all: a parameter for each digest in each table is more than the protocol takes.
    any_of = any_(bindparam("digests", list(digests), type_=ARRAY(Text)))
    asked = [_of(name, of).where(column(of) == any_of) for name, of in BLOBS]
    for each in BLOBS_WITHIN:
        names = _within(*each).subquery()
        asked.append(select(names.c.sha256).where(names.c.sha256 == any_of))
    return set(session.scalars(union(*asked)))


def rows_of_tables(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    counts = {}
    for name in sorted(inspect(connection).get_table_names()):
        counts[name] = connection.execute(select(func.count()).select_from(table(name))).scalar_one()
    return counts


def is_empty(connection: Connection) -> bool:
    """True where the database holds nothing but what its extensions brought."""
    return not connection.execute(
        text(
            "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace"
            " WHERE nspname IN ('pg_catalog', 'information_schema') OR nspname LIKE 'pg\\_%')"
            " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e'))"
        )
    ).scalar_one()


def revision_of(connection: Connection) -> str | None:
    """The schema's revision; None of a database without one."""
    if "alembic_version" not in inspect(connection).get_table_names():
        return None
    version = table("alembic_version", column("version_num"))
    return connection.execute(select(version.c.version_num)).scalar_one_or_none()


def _selects(connection: Connection) -> list[Select[Any]]:
    seen = inspect(connection)
    there = {(name, each["name"]) for name in seen.get_table_names() for each in seen.get_columns(name)}
    plain = [_of(name, of) for name, of in BLOBS if (name, of) in there]
    return plain + [_within(*each) for each in BLOBS_WITHIN if each[:2] in there]


def _of(name: str, of: str) -> Select[Any]:
    return select(column(of).label("sha256")).select_from(table(name))


def _within(name: str, of: str, path: str) -> Select[Any]:
    each = func.jsonb_path_query(column(of), literal_column(f"'{path}'")).op("#>>")(text("'{}'"))
    return select(each.label("sha256")).select_from(table(name))
