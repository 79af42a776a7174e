"""Stored bytes that nobody names any more: listed in a table, and removed once it is sure.

A deletion lists the bytes of its images in its own transaction, so a process that is killed after the commit
loses nothing of the list. Whatever else lies in the folder for a day without a row that names it (an upload
that was killed between its bytes and its commit) is listed by `list_orphans`.

What must never happen: the same bytes are sent again, the sender relies on the file that is there, we
remove it, and the sender's commit makes a row whose bytes are gone. So

1. Whatever `Blobs.keep` returns from has the time of that moment, however long ago it was staged: a file
   that it finds is touched where it is a few minutes old, and replaced by the sender's own where it is
   older.
2. A file stays that was kept within the last quarter of an hour, or less than that before the oldest
   transaction that is open, or before the piece of work began that the training worker is at, which commits
   at its end, hours later: the commit that names it may be under way.
3. The file is renamed before anybody asks whether a row names it. If its time is another one than when it
   was looked at, it gets its name back. Who keeps the same bytes afterwards has the name for a file of
   their own, which we do not touch.
4. Only then the rows are asked, in a statement of its own: whoever kept the file before 2. has committed.
   What a row names gets its name back; the rest is removed, and only then off the list.

It rests on this: who keeps bytes begins the transaction that names them before it or commits within a
quarter of an hour; all processes have one role in PostgreSQL (a role sees only its own transactions); the
clocks of the machines, of PostgreSQL and of a file server differ by less than five minutes; the file server
does a link and a renaming wholly or not at all, and who opens a file asks it (NFS does, unless mounted with
`nocto`).

One process at a time removes, a bounded number in each round. Killed anywhere, it leaves the bytes on the
list and at most renamed; the next round gives them their name back first. A process that only lost its
connection may be taken for dead, so that two are at it: each removes only what it has renamed and looked at
itself.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.commands.backup_contents import named_among
from app.domain.roles import SYSTEM
from app.kept_pictures import KeptPictures
from app.records import BlobRemoval, Image, Job
from app.records.engine import single_statements, transaction
from app.settings import settings

_COMMITTED_WITHIN = 15 * 60.0
_ORPHAN_AFTER = 24 * 3600.0
_AT_ONCE = 200
_MOST_BATCHES = 50
"""In one round; the next is a minute later."""
_LISTED_AT_ONCE = 5000


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What became of the listed bytes."""

    removed: int
    named: int
    """Of those that a row names: they stay, and are off the list."""
    waiting: int
    """On the list still: somebody may be about to name them."""


def remove_due(blobs: Blobs) -> Removed:
    """Whatever may go of the list is gone, up to a bound, with the pictures of it that this machine keeps;
    where another process is at it nothing is done.

    What has to wait goes to the end of the list. A batch of which nothing may go ends the round: during a
    training that is so for hours.
    """
    removed = named = 0
    pictures = KeptPictures(settings().home)
    with _turn() as is_ours:
        if is_ours:
            with transaction() as session:
                begun = session.scalar(select(func.clock_timestamp()))
            for sha256 in blobs.set_aside_before():
                blobs.put_back(sha256)
            for _ in range(_MOST_BATCHES):
                with transaction() as session:
                    listed = session.scalars(
                        select(BlobRemoval)
                        .where(BlobRemoval.since < begun)
                        .order_by(BlobRemoval.since, BlobRemoval.sha256)
                        .limit(_AT_ONCE)
                        .with_for_update(skip_locked=True)  # a deletion is listing it anew
                    ).all()
                    gone, kept, wait = _remove(session, blobs, listed)
                    pictures.forget(gone)
                    session.execute(delete(BlobRemoval).where(BlobRemoval.sha256.in_([*gone, *kept])))
                    session.execute(
                        update(BlobRemoval)
                        .where(BlobRemoval.sha256.in_(wait))
                        .values(since=func.clock_timestamp())
                        .execution_options(synchronize_session=False)
                    )
                removed, named = removed + len(gone), named + len(kept)
                if len(wait) == len(listed):
                    break
    with transaction() as session:
        waiting = session.scalar(select(func.count()).select_from(BlobRemoval)) or 0
    return Removed(removed=removed, named=named, waiting=waiting)


def _remove(
    session: Session, blobs: Blobs, listed: Sequence[BlobRemoval]
) -> tuple[list[str], list[str], list[str]]:
    """Those that are gone, those that stay, and those that wait."""
    quiet = _quiet_since(session)
    day_ago = time.time() - _ORPHAN_AFTER
    gone: list[str] = []
    kept: list[str] = []
    wait: list[str] = []
    aside: list[str] = []
    names = named_among(session, [row.sha256 for row in listed])
    for row in listed:
        if row.sha256 in names:
            kept.append(row.sha256)
            continue
        since = min(quiet, day_ago) if row.orphan else quiet
        match blobs.set_aside(row.sha256, untouched_since=since):
            case True:
                aside.append(row.sha256)
            case None:
                gone.append(row.sha256)
            case False:  # an orphan that is wanted again is none; if it is after all, it is listed again
                (kept if row.orphan else wait).append(row.sha256)
    names = named_among(session, aside)
    for sha256 in aside:
        if sha256 in names:
            blobs.put_back(sha256)
            kept.append(sha256)
        else:
            blobs.forget(sha256)
            gone.append(sha256)
    return gone, kept, wait


def images_among(digests: Collection[str]) -> set[str]:
    """Those of the digests that are images, as of now."""
    any_of = any_(bindparam("digests", list(digests), type_=ARRAY(Text)))
    with transaction() as session:
        return set(session.scalars(select(Image.sha256).where(Image.sha256 == any_of)))


def list_orphans(blobs: Blobs) -> int:
    """Bytes that nobody has touched for a day and no row names are on the list; returns how many."""
    found = 0
    candidates = blobs.untouched(since=time.time() - _ORPHAN_AFTER)
    while some := list(islice(candidates, _LISTED_AT_ONCE)):
        with transaction() as session:
            orphans = sorted(set(some) - named_among(session, some))
            for sha256 in orphans:
                listed = insert(BlobRemoval).values(sha256=sha256, orphan=True)
                session.execute(listed.on_conflict_do_nothing())
            if orphans:
                audit.record(session, action="blobs.orphaned", by=SYSTEM, count=len(orphans))
        found += len(orphans)
    return found


@contextmanager
def _turn() -> Iterator[bool]:
    """True where no other process removes; until the block ends, or the process."""
    key = "hashtextextended('blob removals', 0)"
    with single_statements() as connection:
        is_ours = connection.execute(f"SELECT pg_try_advisory_lock({key})").fetchone() == (True,)
        try:
            yield is_ours
        finally:
            if is_ours:
                connection.execute(f"SELECT pg_advisory_unlock({key})")


def _quiet_since(session: Session) -> float:
    """Seconds since 1970: who kept a file before that has committed."""
    job = session.scalar(select(func.min(Job.begun_at)).where(Job.state == "running"))
    others = session.scalar(
        text(
            "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    )
    begun = [moment.timestamp() for moment in (job, others) if moment is not None]
    return min([time.time(), *begun]) - _COMMITTED_WITHIN
