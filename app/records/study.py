"""A study: what a worklist row is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.states import State
from app.records.base import Base, HasId, now

_STATES = ", ".join(f"'{state.value}'" for state in State)
UNSIGNED = "state NOT IN ('signed', 'amended') AND purpose = 'current'"


class Study(HasId, Base):
    """One examination of one patient; `state` is its life, `screening_*` what the workers owe it."""

    __tablename__ = "studies"

    study_instance_uid: Mapped[str]
    patient_id: Mapped[str] = mapped_column(default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(default="")
    unidentified_as: Mapped[str] = mapped_column(default="")
    """Hash of name and birth date where there is no PatientID to tell patients apart by."""
    patient_name: Mapped[str | None]
    patient_birth_date: Mapped[date | None]
    patient_sex: Mapped[str | None]
    age_years: Mapped[float | None]
    accession_number: Mapped[str | None]
    study_date: Mapped[date | None]
    study_time: Mapped[str | None]
    study_description: Mapped[str | None]
    referring_physician_name: Mapped[str | None]
    modality: Mapped[str | None]
    station_name: Mapped[str | None]
    institution_name: Mapped[str | None]

    source: Mapped[str]
    """Name of the key or person that sent the first image."""
    received_via: Mapped[str]
    """browser, rest or stow."""
    purpose: Mapped[str] = mapped_column(default="current")
    is_sample: Mapped[bool] = mapped_column(default=False)
    blind: Mapped[bool] = mapped_column(default=False)
    """Drawn at admission: whoever reads it is not shown the network's opinion before their own verdict."""
    priority: Mapped[str] = mapped_column(default="routine")

    state: Mapped[str] = mapped_column(default=State.ADMITTED.value)
    reason: Mapped[str | None]
    """Why it was withheld, failed or reopened, in words."""
    revision: Mapped[int] = mapped_column(default=1)
    """Grows whenever what a reader sees changes: a new image, a new reading, a review."""
    arrived_at: Mapped[datetime] = mapped_column(default=now)
    rank_at: Mapped[datetime]
    order_credit: Mapped[timedelta]
    network_credit: Mapped[timedelta]
    given_credit: Mapped[timedelta | None]
    """The largest credit a reading gave; `network_credit` is more while an image of the study is unread."""
    lane: Mapped[str | None]
    urgency: Mapped[float | None]

    screening_due: Mapped[bool] = mapped_column(default=True)
    screening_lease: Mapped[UUID | None]
    screening_lease_expires_at: Mapped[datetime | None]
    screening_attempts: Mapped[int] = mapped_column(default=0)
    screening_not_before: Mapped[datetime | None]
    screening_again_at: Mapped[datetime | None]
    """When it became due again (asked for, a further image, a promotion); None if due since arrival."""
    screening_lacked_network: Mapped[bool] = mapped_column(default=False)
    """It failed because no network could read it; a promotion makes it due again."""

    state_before_claim: Mapped[str | None]
    claimed_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    claimed_by_name: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    claim_expires_at: Mapped[datetime | None]
    signed_by_name: Mapped[str | None]
    signed_at: Mapped[datetime | None]
    disputed: Mapped[bool] = mapped_column(default=False)
    """Its readers' latest verdicts say different things of a finding, and nobody has adjudicated."""

    __table_args__ = (
        UniqueConstraint(
            "study_instance_uid",
            "patient_id",
            "issuer_of_patient_id",
            "unidentified_as",
            name="uq_studies_identity",
        ),
        CheckConstraint(f"state IN ({_STATES})", name="state"),
        CheckConstraint("purpose IN ('current', 'prior')", name="purpose"),
        CheckConstraint("priority IN ('routine', 'stat')", name="priority"),
        CheckConstraint("rank_at <= arrived_at", name="rank_not_after_arrival"),
        CheckConstraint(
            "(state = 'claimed') = (claimed_at IS NOT NULL)"
            " AND (claimed_at IS NULL) = (claimed_by_name IS NULL)"
            " AND (claimed_at IS NULL) = (claim_expires_at IS NULL)"
            " AND (claimed_at IS NULL) = (state_before_claim IS NULL)",
            name="claim_who_and_when",
        ),
        CheckConstraint("(signed_at IS NULL) = (signed_by_name IS NULL)", name="sign_who_and_when"),
        CheckConstraint(
            "(screening_lease IS NULL) = (screening_lease_expires_at IS NULL)",
            name="lease_and_expiry",
        ),
        CheckConstraint("(state = 'screening') <= (screening_lease IS NOT NULL)", name="screening_has_lease"),
        Index("ix_studies_worklist", "rank_at", "id", postgresql_where=text(UNSIGNED)),
        Index("ix_studies_due", "rank_at", postgresql_where=text("screening_due")),
        Index("ix_studies_claims", "claim_expires_at", postgresql_where=text("state = 'claimed'")),
        Index("ix_studies_signed_at", "signed_at", postgresql_where=text("state IN ('signed', 'amended')")),
        Index("ix_studies_disputed", "signed_at", "id", postgresql_where=text("disputed")),
        Index("ix_studies_accession_number", "accession_number"),
        Index("ix_studies_patient_id", "patient_id"),
        Index(
            "ix_studies_patient_name",
            text("lower(patient_name) gin_trgm_ops"),
            postgresql_using="gin",
        ),
        Index(
            "ix_studies_name_grams",
            text("name_grams(patient_name)"),
            postgresql_using="gin",
            postgresql_where=text("octet_length(patient_name) > length(patient_name)"),
        ),
        Index("ix_studies_arrived_at", "arrived_at"),
        Index("ix_studies_blind", "signed_at", postgresql_where=text("blind")),
    )


class IdentityConflict(HasId, Base):
    """Two things that claim one identity; an administrator decides."""

    __tablename__ = "identity_conflicts"

    kind: Mapped[str]
    """other-patient: one StudyInstanceUID, two patients; other-pixels: one SOPInstanceUID, two pictures;
    same-picture: one SOPInstanceUID and one picture in two studies.
    """
    uid: Mapped[str]
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"))
    other_study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"))
    image_id: Mapped[UUID | None] = mapped_column(ForeignKey("images.id"))
    other_image_id: Mapped[UUID | None] = mapped_column(ForeignKey("images.id"))
    found_at: Mapped[datetime] = mapped_column(default=now)
    resolved_at: Mapped[datetime | None]
    resolved_by_name: Mapped[str | None]
    resolution: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("kind IN ('other-patient', 'other-pixels', 'same-picture')", name="kind"),
        CheckConstraint("(resolved_at IS NULL) = (resolved_by_name IS NULL)", name="resolved_who_and_when"),
        Index("ix_identity_conflicts_study_id", "study_id"),
        Index("ix_identity_conflicts_other_study_id", "other_study_id"),
        Index("ix_identity_conflicts_image_id", "image_id", postgresql_where=text("image_id IS NOT NULL")),
        Index(
            "ix_identity_conflicts_other_image_id",
            "other_image_id",
            postgresql_where=text("other_image_id IS NOT NULL"),
        ),
        Index("ix_identity_conflicts_open", "study_id", postgresql_where=text("resolved_at IS NULL")),
    )
