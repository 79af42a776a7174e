"""Database rows. Every table is here; nothing outside app.records, app.commands and app.queries sees one."""

from app.records.adjudication import Adjudication
from app.records.audit import AuditEvent, AuditSeal, AuditSending
from app.records.base import Base
from app.records.bundle_export import BundleExport
from app.records.case import ConfirmedCase
from app.records.dataset import Dataset, DatasetFile
from app.records.deletion import BlobRemoval, DeletedPatientKey, Deletion
from app.records.delivery import Delivery, Destination
from app.records.draft import Draft
from app.records.image import Image
from app.records.job import Job
from app.records.network import Bundle, Promotion
from app.records.occlusion import OcclusionMap
from app.records.person import ApiKey, OidcSignIn, RecoveryCode, Session, User
from app.records.reading import ImageReading, Reading
from app.records.review import Review, Withdrawal
from app.records.second_opinion import SecondOpinion
from app.records.site import SiteChoice
from app.records.snapshot import JudgingPatient, LearnedPatient, PlacedImage, SnapshotExport
from app.records.study import IdentityConflict, Study
from app.records.training import (
    Evaluation,
    EvaluationOrder,
    LockedPatient,
    Proposal,
    Shadow,
    ShadowReading,
    Snapshot,
    TrainingRun,
)

__all__ = [
    "Adjudication",
    "ApiKey",
    "AuditEvent",
    "AuditSeal",
    "AuditSending",
    "Base",
    "BlobRemoval",
    "Bundle",
    "BundleExport",
    "ConfirmedCase",
    "Dataset",
    "DatasetFile",
    "DeletedPatientKey",
    "Deletion",
    "Delivery",
    "Destination",
    "Draft",
    "Evaluation",
    "EvaluationOrder",
    "IdentityConflict",
    "Image",
    "ImageReading",
    "Job",
    "JudgingPatient",
    "LearnedPatient",
    "LockedPatient",
    "OcclusionMap",
    "OidcSignIn",
    "PlacedImage",
    "Promotion",
    "Proposal",
    "Reading",
    "RecoveryCode",
    "Review",
    "SecondOpinion",
    "Session",
    "Shadow",
    "ShadowReading",
    "SiteChoice",
    "Snapshot",
    "SnapshotExport",
    "Study",
    "TrainingRun",
    "User",
    "Withdrawal",
]
