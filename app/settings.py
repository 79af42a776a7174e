"""Configuration: FIRSTREAD_* environment variables, and the file a running service leaves."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.order import Credits
from app.language import SOURCE, languages
from app.syslog import ADDRESS as SYSLOG_ADDRESS


class ServiceNotRunning(Exception):
    """No database is configured and no running service was found below FIRSTREAD_HOME."""


class Settings(BaseSettings):
    """Everything that can be configured; each field is one variable, listed in the README.

    Durations are in seconds unless the name says otherwise; sizes are in bytes.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTREAD_", extra="ignore", populate_by_name=True)

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

    bundle: Path | None = Field(default=None, description="Bundle file to use instead of the one shipped.")
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
    max_upload_bytes: int = Field(default=512 * 1024**2, description="Largest request body.")
    max_file_bytes: int = Field(default=256 * 1024**2, description="Largest single file in a request.")
    max_pixels: int = Field(default=100_000_000, description="Largest rows x columns of an image.")
    claim_minutes: float = Field(
        default=15.0, gt=0, description="Minutes after which an untouched claim expires."
    )
    undo_seconds: float = Field(
        default=10.0,
        ge=0,
        le=60,
        description="Seconds in which a signature can be undone and its results stay here; 0 for none.",
    )
    session_hours: float = Field(default=12.0, gt=0, description="Longest life of a session.")
    session_idle_minutes: float = Field(
        default=60.0, gt=0, description="Minutes without a request that end a session."
    )
    insecure_cookies: bool = Field(
        default=True, description="Allow cookies over plain HTTP; set false behind TLS."
    )
    webhook_attempts: int = Field(
        default=8, ge=1, description="Attempts before a delivery becomes a dead letter."
    )
    webhook_backoff: float = Field(
        default=20.0, gt=0, description="Seconds before a delivery's second attempt; doubles to an hour."
    )
    webhook_timeout: float = Field(default=10.0, gt=0, description="Seconds a webhook may take to answer.")
    audit_seal_interval: float = Field(
        default=30.0, gt=0, description="Seconds between two seals on the audit trail, where it grew."
    )
    audit_syslog: str | None = Field(
        default=None,
        pattern=SYSLOG_ADDRESS,
        description="Syslog server for the audit trail's heads: `udp://`, `tcp://` or `tls://`, `host:port`.",
    )
    audit_syslog_ca: Path | None = Field(
        default=None, description="Certificates (PEM) that a `tls://` syslog server's is checked against."
    )
    audit_syslog_certificate: Path | None = Field(
        default=None, description="Our own certificate and its key (PEM) for a `tls://` syslog server."
    )
    audit_messages: Literal["off", "pseudonymous", "identified"] = Field(
        default="off",
        description="DICOM audit messages to syslog: off, pseudonymous, or identified (with PatientID).",
    )
    stalled_minutes: float = Field(
        default=5.0, gt=0, description="Wait for screening after which pages show a banner."
    )
    log_format: str = Field(default="console", description="console or json.")

    @field_validator("paediatric_sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in languages():
            raise ValueError(f"there is a catalogue for {' and '.join(languages())}")
        return value

    @property
    def credits(self) -> Credits:
        """The site's credits."""
        return Credits(
            rule_in=timedelta(hours=self.credit_rule_in_hours),
            abstain=timedelta(hours=self.credit_abstain_hours),
            unknown=timedelta(hours=self.credit_unknown_hours),
            stat=timedelta(hours=self.credit_stat_hours),
        )

    @property
    def service_file(self) -> Path:
        """Where `firstread up` leaves the addresses of what it started (mode 0600)."""
        return self.home / "run" / "service.json"

    @cached_property
    def _service(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.service_file.read_text()))
        except FileNotFoundError:
            raise ServiceNotRunning(
                f"No running FirstRead was found below {self.home}. Start it with `make run`, or set "
                "FIRSTREAD_HOME to its folder, or FIRSTREAD_DATABASE_URL and FIRSTREAD_BROKER_URL.",
            ) from None

    @property
    def resolved_database_url(self) -> str:
        """SQLAlchemy URL of the database; raises ServiceNotRunning when there is none to be found."""
        return self.database_url or self._service["database_url"]

    @property
    def resolved_broker_url(self) -> str:
        """URL of the broker; raises ServiceNotRunning when there is none to be found."""
        return self.broker_url or self._service["broker_url"]

    @property
    def blob_folder(self) -> Path:
        """Folder of the stored bytes."""
        return self.blobs or self.home / "blobs"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
