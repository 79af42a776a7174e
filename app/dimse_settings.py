"""The settings of the DICOM listener; `app.settings` has them with all others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from app.domain.callers import AllowedCaller, callers_of, is_title
from app.work_settings import WorkSettings


class DimseSettings(WorkSettings):
    """Settings of C-STORE and C-ECHO."""

    dimse: bool = Field(
        default=True, description="Whether `firstread up` starts the DICOM listener (C-STORE, C-ECHO)."
    )
    dimse_host: str = Field(default="127.0.0.1", description="Address the DICOM listener listens on.")
    dimse_port: int = Field(default=11112, ge=0, le=65535, description="Port the DICOM listener listens on.")
    dimse_title: str = Field(
        default="FIRSTREAD", description="AE title of the DICOM listener, which senders must call it by."
    )
    dimse_any_title: bool = Field(
        default=False, description="Whether the DICOM listener answers to any called AE title."
    )
    dimse_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("*@127.0.0.1", "*@::1"),
        description="Comma-separated senders: `TITLE@RANGE`, as `CARE7@10.20.0.0/16`; `*` is any title.",
    )
    dimse_associations: int = Field(
        default=16,
        ge=1,
        le=64,
        description="DICOM associations at a time; a further one is told to come back.",
    )
    dimse_timeout: float = Field(
        default=60.0, gt=0, description="Seconds of silence that end a DICOM association."
    )
    dimse_certificate: Path | None = Field(
        default=None, description="Certificate and key (PEM) of the DICOM listener; without TLS if unset."
    )
    dimse_client_ca: Path | None = Field(
        default=None, description="Certificates (PEM) that those of DICOM senders must be signed by."
    )

    @field_validator("dimse_allow", mode="before")
    @classmethod
    def _split_callers(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("dimse_allow")
    @classmethod
    def _callers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(each) for each in callers_of(value))

    @field_validator("dimse_title")
    @classmethod
    def _title(cls, value: str) -> str:
        if not is_title(value):
            raise ValueError("an AE title has 1 to 16 characters and no backslash")
        return value

    @model_validator(mode="after")
    def _certificate_of_our_own(self) -> DimseSettings:
        if self.dimse_client_ca is not None and self.dimse_certificate is None:
            raise ValueError("FIRSTREAD_DIMSE_CLIENT_CA also needs FIRSTREAD_DIMSE_CERTIFICATE")
        return self

    @property
    def dimse_callers(self) -> tuple[AllowedCaller, ...]:
        """Who may send by C-STORE, and from where."""
        return callers_of(self.dimse_allow)
