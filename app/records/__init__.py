"""Database rows. Every table is here; nothing outside app.records, app.commands and app.queries sees one."""

from app.records.adjudication import Adjudication
from app.records.audit import AuditEvent
from app.records.base import Base
from app.records.case import ConfirmedCase
from app.records.delivery import Delivery, Destination
from app.records.image import Image
from app.records.network import Bundle, Promotion
from app.records.occlusion import OcclusionMap
from app.records.person import ApiKey, Session, User
from app.records.reading import ImageReading, Reading
from app.records.review import Review, Withdrawal
from app.records.second_opinion import SecondOpinion
from app.records.site import SiteChoice
from app.records.study import IdentityConflict, Study

__all__ = [
    "Adjudication",
    "ApiKey",
    "AuditEvent",
    "Base",
    "Bundle",
    "ConfirmedCase",
    "Delivery",
    "Destination",
    "IdentityConflict",
    "Image",
    "ImageReading",
    "OcclusionMap",
    "Promotion",
    "Reading",
    "Review",
    "SecondOpinion",
    "Session",
    "SiteChoice",
    "Study",
    "User",
    "Withdrawal",
]
