"""`firstread replay`: past readings made again, to the bit or within a tolerance."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from worker.replay import Replayed


def replay(
    reading: Annotated[
        UUID | None, typer.Argument(help="A reading's id, or a study's: then the reading that stands.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Every reading since then (UTC), such as 2026-11-22.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle's file, where the site no longer has its bytes.")
    ] = None,
) -> None:
    """Make a past reading again from the same bundle and images: exit code 0 if it was reproduced, to the bit
    where runtime, device, threads and batch are those of then, and else within a stated tolerance.
    """
    from app.errors import Unprocessable

    if (reading is None) == (since is None):
        raise Unprocessable("Name one reading or study, or a time with --since.")
    sys.exit(_run(reading=reading, since=since, bundle=bundle))


def _run(*, reading: UUID | None, since: datetime | None, bundle: Path | None) -> int:
    from app.blobs import Blobs
    from app.dicom.decoder_pool import DecoderPool
    from app.errors import NotFound, Unprocessable
    from app.queries.past_readings import past_reading, reading_of, readings_since
    from app.records.engine import transaction
    from app.settings import settings
    from worker.replay import TOLERANCE, Replayer

    configuration = settings()
    with transaction() as session:
        if reading is not None:
            wanted = [reading_of(session, id_=reading)]
        else:
            assert since is not None
            wanted = readings_since(session, since=since.replace(tzinfo=since.tzinfo or UTC))
    exact = within = failed = 0
    with DecoderPool(
        processes=configuration.decoder_processes,
        seconds=configuration.decoder_timeout,
        memory_bytes=configuration.decoder_memory,
    ) as pool:
        replayer = Replayer(
            blobs=Blobs(configuration.blob_folder),
            pool=pool,
            device=configuration.device,
            paediatric_sources=configuration.paediatric_sources,
        )
        for id_ in wanted:
            with transaction() as session:
                past = past_reading(session, reading_id=id_)
            try:
                again = replayer.replay(past, bundle=bundle)
            except (NotFound, Unprocessable) as error:
                if reading is not None:
                    raise
                failed += 1
                print(f"{id_}: {error.detail}")
                continue
            exact += again.exact
            within += again.reproduced and not again.exact
            failed += not again.reproduced
            if reading is not None:
                _tell(again, tolerance=TOLERANCE)
            elif not again.reproduced:
                print(f"{id_}: not reproduced")
    if reading is None:
        told = f"{exact} to the bit, {within} within {TOLERANCE:g}, {failed} not reproduced"
        print(f"{len(wanted)} readings: {told}.")
    return 1 if failed else 0


def _tell(again: Replayed, *, tolerance: float) -> None:
    past = again.reading
    made = f"{past.read_at:%Y-%m-%d %H:%M:%S} UTC, bundle {past.bundle_sha256[:12]}, {past.runtime}"
    print(f"Reading {past.id} of {made}")
    print(f"  {'image':>5s}  {'finding':24s} {'then':>12s} {'now':>12s}  ")
    for finding in again.findings:
        then, now = ("-" if value is None else f"{value:.9f}" for value in (finding.then, finding.now))
        word = "to the bit" if finding.exact else f"differs by {finding.difference:.2e}"
        print(f"  {finding.image + 1:5d}  {finding.finding:24s} {then:>12s} {now:>12s}  {word}")
    for difference in again.differs:
        print(f"  {difference}")
    if not again.outcomes_agree:
        print("  An image was screened or withheld then and is not now, or for another reason.")
    if again.exact:
        print("Reproduced to the bit.")
    elif again.reproduced:
        print(f"Reproduced within the tolerance of {tolerance:g} in probability.")
    elif again.differs:
        print(f"Not reproduced: it differs by more than {tolerance:g} in probability.")
    else:
        print("Not reproduced: runtime, device, threads and batch are those of then, and a bit differs.")
