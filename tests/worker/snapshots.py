"""A frozen snapshot of drawn chests, its images stored as blobs, for tests of what is trained on it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM
from app.domain.snapshot import NORMAL, SnapshotRow, manifest_lines
from app.records import Snapshot
from app.records.engine import transaction
from models.examples import list_examples
from models.manifest import to_json
from models.start import Start


def drawn_snapshot(
    session: Session, blobs: Blobs, drawn: Path, *, tested: int = 0, patients: int | None = None
) -> UUID:
    """The drawn chests under other patients' names, every fifth to choose by; the last ``tested`` patients
    are the locked test. Where ``patients`` is given, all images are of so many.
    """
    examples, _ = list_examples(drawn)
    named = sorted({example.patient for example in examples})
    locked = set(named[len(named) - tested :]) if tested else set()
    rows = []
    for at, example in enumerate(examples):
        split = "test" if example.patient in locked else "val" if at % 5 == 4 else "train"
        rows.append(
            SnapshotRow(
                path=blobs.put(example.path.read_bytes()),
                label=NORMAL if example.label == "NORMAL" else example.label.lower(),
                patient_key=f"site|{at % patients if patients else example.patient}",
                split=split,
                source="import",
                media_type="image/png",
            )
        )
    splits = {
        split: dict(Counter(row.label for row in rows if row.split == split))
        for split in ("train", "val", "test")
    }
    snapshot = Snapshot(
        name="drawn",
        sha256=blobs.put("".join(manifest_lines(rows)).encode()),
        images=len(rows),
        counts={"splits": splits},
        findings=["pneumonia"],
        test_sha256="e" * 64 if locked else None,
        created_by_name="ada",
    )
    session.add(snapshot)
    session.flush()
    return snapshot.id


def reads_now(blobs: Blobs, bundle: Path) -> str:
    """The bundle is registered and active; its sha256."""
    sha256 = blobs.put(bundle.read_bytes())
    with transaction() as session:
        manifest = json.loads(to_json(Start.read(bundle).manifest))
        registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    return sha256
