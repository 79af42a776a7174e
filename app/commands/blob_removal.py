"""Stored bytes that nobody names any more: listed in a table, and removed once it is sure.

A deletion lists the bytes of its images in its own transaction, so a process that is killed after the commit
loses nothing of the list. Whatever else lies in the folder for a day without a row that names it (an upload
that was killed between its bytes and its commit) is listed by `list_orphans`.

What must never happen: the same bytes are sent again, `Blobs.keep` finds the file that is there and leaves
it, we remove the file, and the sender's commit makes a row whose bytes are gone. So

1. `keep` touches a file that it finds. A file touched in the last quarter of an hour stays, since the commit
   that names it may be under way; one touched since the training worker began its piece of work stays too,
   since that commits at its end, hours later.
2. The file is renamed before anybody asks whether a row names it. If it was touched between the look at its
   time and the renaming, it gets its name back. Who keeps the same bytes afterwards finds no file, and theirs
   has the name.
3. Only then the rows are asked, in a statement of its own: whoever touched the file before 1. has committed.
   What a row names gets its name back.

One process at a time removes; what another left renamed when it was killed gets its name back first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.commands.backup_contents import named_among
from app.domain.roles import SYSTEM
from app.records import BlobRemoval, Job
from app.records.engine import transaction

_COMMITTED_WITHIN = 15 * 60.0
_ORPHAN_AFTER = 24 * 3600.0
_AT_ONCE = 200
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
    """Whatever may go of the list is gone; where another process is at it nothing is done."""
    removed = named = 0
    passed: list[str] = []
    while True:
        with transaction() as session:
            if not _is_ours(session):
                break
            listed = session.scalars(
                select(BlobRemoval)
                .where(BlobRemoval.sha256.not_in(passed))
                .order_by(BlobRemoval.since, BlobRemoval.sha256)
                .limit(_AT_ONCE)
            ).all()
            if not passed:
                for sha256 in blobs.set_aside_before():
                    blobs.put_back(sha256)
            if not listed:
                break
            gone, kept, wait = _remove(session, blobs, listed)
            session.execute(delete(BlobRemoval).where(BlobRemoval.sha256.in_([*gone, *kept])))
            removed, named = removed + len(gone), named + len(kept)
            passed += wait
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


def list_orphans(blobs: Blobs) -> int:
    """Bytes that nobody has touched for a day and no row names are on the list; returns how many."""
    found = 0
    candidates = blobs.untouched(since=time.time() - _ORPHAN_AFTER)
    while some := list(islice(candidates, _LISTED_AT_ONCE)):
        with transaction() as session:
            orphans = sorted(set(some) - named_among(session, some))
            for sha256 in orphans:
                session.merge(BlobRemoval(sha256=sha256, orphan=True))
            if orphans:
                audit.record(session, action="blobs.orphaned", by=SYSTEM, count=len(orphans))
        found += len(orphans)
    return found


def _is_ours(session: Session) -> bool:
    """True where no other process removes; until the commit."""
    asked = text("SELECT pg_try_advisory_xact_lock(hashtextextended('blob removals', 0))")
    return bool(session.scalar(asked))


def _quiet_since(session: Session) -> float:
    """Seconds since 1970: who touched a file before that has committed."""
    begun = session.scalar(select(func.min(Job.begun_at)).where(Job.state == "running"))
    quiet = time.time() - _COMMITTED_WITHIN
    return quiet if begun is None else min(quiet, begun.timestamp())
