"""Candidates that were judged, as far as the records go: bytes that are stored, an order, an evaluation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import evaluation, jobs, registry
from app.domain.explanation import UNTESTED
from app.domain.roles import SYSTEM
from app.domain.snapshot import SnapshotRow, manifest_lines
from app.records import Job, Snapshot
from models.promotion_gate import may_be_promoted, promotion_gate

USE: dict[str, Any] = {
    "min_age_years": 1.0,
    "max_age_years": 6.0,
    "modalities": ["DX", "CR"],
    "body_parts": ["CHEST"],
    "views": ["AP", "PA"],
}
SAME = {"value": 0.0, "low": -0.001, "high": 0.001}


def comparison(**changes: Any) -> dict[str, Any]:
    """What `models.compare.compare` says of two bundles that are as good, with changes."""
    of_one = {"auc": 0.95, "accuracy": 0.9, "sensitivity": 0.9, "specificity": 0.9, "brier": 0.08}
    classes = {
        name: {"images": 60, "recall": _figure(0.9), "precision": _figure(0.9)}
        for name in ("with", "without")
    }
    confusion = {"caught": 54, "missed": 6, "alarmed": 6, "spared": 54}
    curves = {
        "roc": [[0.0, 0.0], [0.1, 0.9], [1.0, 1.0]],
        "precision_recall": [[0.5, 1.0], [0.9, 0.9], [1.0, 0.5]],
        "average_precision": 0.94,
        "operating_point": {"recall": 0.9, "alarms": 0.1, "precision": 0.9},
        "reliability": [
            {"given": 0.1, "share": 0.12, "images": 50},
            {"given": 0.9, "share": 0.88, "images": 60},
        ],
    }
    lanes = {"rule-out": 40, "abstain": 10, "rule-in": 10}
    both = ("active", "candidate")
    return {
        "finding": "pneumonia",
        "asked": 120,
        "images": 120,
        "patients": 120,
        "patients_with": 60,
        "patients_without": 60,
        "withheld": {"active": 0, "candidate": 0},
        "active": of_one
        | {"name": "drawn", "version": "1", "even_odds": {"slope": 1.1, "intercept": 0.1, "error": 0.01}},
        "candidate": of_one
        | {"name": "drawn", "version": "2", "even_odds": {"slope": 1.1, "intercept": 0.1, "error": 0.01}},
        "difference": dict.fromkeys(("auc", "accuracy", "sensitivity", "specificity"), SAME),
        "delong": {"difference": 0.0, "standard_error": 0.01, "p": 1.0},
        "mcnemar": {"lost": 1, "won": 1, "p": 1.0},
        "lost_of_right": 0.01,
        "lanes": dict.fromkeys(lanes, lanes),
        "stress": [
            {
                "grade": 1.0,
                "active": 0.9,
                "candidate": 0.9,
                "difference": SAME,
                "asked": 300,
                "withheld": {"active": 3, "candidate": 3},
            }
        ],
        "explanations": {"active": False, "candidate": False},
        "cuts": {"active": ["rule-in"], "candidate": ["rule-in", "rule-out"]},
        "pixel_gate": {"active": True, "candidate": True},
        "findings": {"active": ["pneumonia"], "candidate": ["pneumonia"]},
        "intended_use": {"active": USE, "candidate": USE},
        "notices": [],
        "runtime": "test",
        "learnt_from_left_out": 0,
        "calibrated_on": {"active": 0, "candidate": 0},
        "labels": {"may_judge": 120, "others": 0},
        "locked_test": {"use": 1, "limit": 10},
        "map_withheld": UNTESTED,
        "detail": {
            "curves": dict.fromkeys(both, curves),
            "classes": dict.fromkeys(both, classes | {"accuracy": _figure(0.9), "confusion": confusion}),
            "lanes_by_truth": {key: {"with": lanes, "without": lanes} for key in both},
            "subgroups": [
                {
                    "of": "age",
                    "value": "1 to 4 years",
                    "images": 20,
                    "patients_with": 10,
                    "patients_without": 10,
                    "sufficient": False,
                    "asked_enough": False,
                    "candidate": {name: _figure(0.9) for name in ("auc", "sensitivity", "specificity")},
                    "active": {name: _figure(0.9) for name in ("auc", "sensitivity", "specificity")},
                    "difference": dict.fromkeys(("auc", "sensitivity", "specificity"), SAME),
                    "asked": 22,
                    "withheld": {"active": 0, "candidate": 2},
                }
            ],
            "untold": ["sex"],
            "mistakes": [],
        },
    } | changes


def _figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def a_stored_bundle(session: Session, blobs: Blobs, version: str, **use: Any) -> str:
    """Registered, and its bytes are a blob; no network. `use` is what is other in its intended use."""
    sha256 = blobs.put(f"bundle {version}".encode())
    manifest = {
        "name": "drawn",
        "version": version,
        "findings": [{"name": "pneumonia"}],
        "intended_use": USE | use,
    }
    registry.register(session, sha256=sha256, manifest=manifest, by=SYSTEM)
    return sha256


def an_active_bundle(session: Session, blobs: Blobs, version: str = "1") -> str:
    """One that reads now."""
    sha256 = a_stored_bundle(session, blobs, version)
    registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    return sha256


COUNTS: dict[str, Any] = {
    "splits": {"train": {"NORMAL": 60, "pneumonia": 60}},
    **{name: {} for name in ("patients", "sources", "reviewers")},
    "blind": 0,
    "left_out": [],
    "datasets": [],
}
"""What is said of a snapshot whose rows do not matter."""


def a_snapshot(session: Session, blobs: Blobs, rows: list[SnapshotRow] | None = None) -> UUID:
    """A frozen one; its locked test is made of the rows of the test split, if any."""
    data = "".join(manifest_lines(rows or [])).encode()
    sha256 = blobs.put(data)
    known = session.scalar(select(Snapshot.id).where(Snapshot.sha256 == sha256))
    if known is not None:
        return known
    snapshot = Snapshot(
        name="autumn",
        sha256=sha256,
        images=len(rows or []),
        counts=COUNTS,
        findings=["pneumonia"],
        test_sha256="e" * 64 if rows is None or any(row.split == "test" for row in rows) else None,
        created_by_name="ada",
    )
    session.add(snapshot)
    session.flush()
    return snapshot.id


def an_evaluation(
    session: Session, blobs: Blobs, candidate: str, *, snapshot: UUID | None = None, **changes: Any
) -> UUID:
    """The candidate's beside the bundle that reads now; `changes` of `comparison` decide the gate's word."""
    job_id = evaluation.ask(
        session, candidate_sha256=candidate, snapshot_id=snapshot or a_snapshot(session, blobs), by=SYSTEM
    )
    order_id = session.get_one(Job, job_id).subject_id
    outcome = comparison(**changes)
    lines = promotion_gate(outcome)
    active = registry.active_bundle(session)
    evaluation.record(
        session,
        blobs=blobs,
        subject_id=order_id,
        answer={
            "active_sha256": active,
            "outcome": outcome,
            "gate": [asdict(line) for line in lines],
            "may_be_promoted": may_be_promoted(lines),
        },
    )
    over(session, job_id)
    return order_id


def over(session: Session, job_id: UUID) -> None:
    """A training worker has done it."""
    claimed = jobs.claim(session, worker="tested", seconds=60)
    assert claimed is not None and claimed.id == job_id
    jobs.end(session, job_id=job_id, worker="tested", state="done")
