"""The first half of the settings: where the service keeps things, how it reads, how much it takes at a time.

`app.settings` has the other half, and is what everybody asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.language import SOURCE, languages


class WorkSettings(BaseSettings):
    """Settings of the work itself."""

    model_config = SettingsConfigDict(
        env_prefix="FIRSTREAD_", extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    home: Path = Field(default=Path("var"), description="Data, logs and run files of the embedded service.")
    host: str = Field(default="127.0.0.1", description="Address the web server listens on.")
    port: int = Field(
        default=8000,
        validation_alias=AliasChoices("PORT", "FIRSTREAD_PORT", "port"),
        description="Port the web server listens on.",
    )
    web_processes: int = Field(
        default=2, ge=1, le=64, description="Web server processes that `firstread up` starts."
    )
    public_url: str | None = Field(
        default=None, description="Address users reach the service by, behind a proxy."
    )
    database_url: str | None = Field(
        default=None, description="PostgreSQL, as an SQLAlchemy URL; embedded if unset."
    )
    broker_url: str | None = Field(default=None, description="Redis or Valkey for Celery; embedded if unset.")
    blobs: Path | None = Field(
        default=None, description="Folder of the stored bytes; `blobs` below the home if unset."
    )
    admin_password: SecretStr | None = Field(
        default=None, description="First administrator's password (user admin)."
    )
    samples: bool = Field(default=True, description="Load sample phantom studies into an empty service.")
    site_name: str = Field(default="FirstRead", description="Shown in the page header.")
    time_zone: str = Field(default="UTC", description="IANA zone of the dates and times shown.")
    language: str = Field(
        default=SOURCE,
        description="Language of pages where neither person nor browser asks for one: en or zh_Hans.",
    )

    bundle: Path | None = Field(
        default=None, description="Bundle file that the first start promotes instead of the one shipped."
    )
    device: str = Field(default="auto", description="auto, cpu or cuda.")
    paediatric_sources: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Comma-separated key names, StationNames or InstitutionNames that send children only.",
    )
    batch_size: int = Field(default=8, ge=1, le=256, description="Studies a worker claims at once.")
    decoder_processes: int = Field(default=2, ge=1, le=64, description="Decoding child processes per worker.")
    decoder_timeout: float = Field(default=20.0, gt=0, description="Seconds one image may take to decode.")
    decoder_memory: int = Field(
        default=2 * 1024**3, ge=256 * 1024**2, description="Memory one decoder may use."
    )
    screening_lease: float = Field(
        default=30.0, ge=1, description="Seconds after which the batch of a worker that fell silent is free."
    )
    screening_attempts: int = Field(default=4, ge=1, description="Attempts before a study is marked failed.")
    retry_backoff: float = Field(
        default=2.0, gt=0, description="Seconds before the second attempt; doubles each time."
    )
    sweep_interval: float = Field(default=5.0, gt=0, description="Seconds between sweeps.")

    credit_rule_in_hours: float = Field(default=8.0, ge=0, description="Credit of a finding ruled in.")
    credit_abstain_hours: float = Field(default=2.0, ge=0, description="Credit where the network abstains.")
    credit_unknown_hours: float = Field(
        default=8.0, ge=0, description="Credit of a study the network has not read."
    )
    credit_stat_hours: float = Field(default=24.0, ge=0, description="Credit of a STAT order.")

    locked_test_uses: int = Field(
        default=10, ge=1, description="Evaluations that one locked test serves; then it needs new patients."
    )
    uploads_at_once: int = Field(
        default=2, ge=1, le=64, description="Requests with images that a web process admits at a time."
    )
    uploads_waiting: int = Field(
        default=64,
        ge=1,
        description="Requests with images in a web process, beyond which one is told to come back.",
    )
    max_upload_bytes: int = Field(default=512 * 1024**2, description="Largest request body.")
    max_file_bytes: int = Field(default=256 * 1024**2, description="Largest single file in a request.")

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in languages():
            raise ValueError(f"there is a catalogue for {' and '.join(languages())}")
        return value
