"""Configuration: FIRSTREAD_* environment variables, and the file a running service leaves."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from app import syslog
from app.dimse_settings import DimseSettings
from app.domain.addresses import ranges_of
from app.domain.order import Credits
from app.domain.roles import Role


class ServiceNotRunning(Exception):
    """No database is configured and no running service was found below FIRSTREAD_HOME."""


class Settings(DimseSettings):
    """Everything that can be configured; each field is one variable, listed in the README.

    Durations are in seconds unless the name says otherwise; sizes are in bytes.
    """

    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after its signature at which a study is deleted; off if unset (docs/retention.md).",
    )
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
    lockout_attempts: int = Field(
        default=20, ge=1, description="Wrong answers in a row that lock an account for a while."
    )
    lockout_minutes: float = Field(default=60.0, gt=0, description="Minutes that an account stays locked.")
    local_sign_in: Literal["everyone", "administrators"] = Field(
        default="everyone",
        description="Who signs in with a password where a provider is set: everyone or administrators.",
    )
    oidc_issuer: str | None = Field(
        default=None, description="OpenID Connect provider people can sign in at; off if unset."
    )
    oidc_client_id: str | None = Field(default=None, description="What the provider knows this service as.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="The client's secret at the provider; none for a public client."
    )
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with that secret, instead of the variable."
    )
    oidc_certificates: Path | None = Field(
        default=None, description="File with the certificate authorities of the provider, if not public ones."
    )
    oidc_scopes: str = Field(default="openid profile", description="Scopes asked of the provider.")
    oidc_username_claim: str = Field(
        default="preferred_username", description="Claim that names a new person here."
    )
    oidc_roles_claim: str = Field(
        default="groups",
        description="Claim with a person's groups; dots lead inwards, as realm_access.roles.",
    )
    oidc_role_map: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Comma-separated group=role, one pair for each group that gives a role."
    )
    oidc_name: str = Field(
        default="your hospital account", description="What the sign-in page calls the provider."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Comma-separated addresses or CIDR ranges of proxies whose X-Forwarded-For is believed.",
    )
    destination_ranges: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Comma-separated CIDR ranges webhooks may be sent to, and no other; public addresses if"
        " unset. Plain http only to those of them that are not public.",
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
        pattern=syslog.ADDRESS,
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
    backup_passphrase: SecretStr | None = Field(
        default=None, description="Passphrase of encrypted backups; better in a file."
    )
    backup_passphrase_file: Path | None = Field(
        default=None, description="File with the passphrase of encrypted backups; not encrypted if unset."
    )
    backup_late_hours: float = Field(
        default=36.0, gt=0, description="Hours after which the last whole backup is said to be too old."
    )
    traces_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description="OpenTelemetry collector that is told of each image, the whole address, such as"
        " `http://127.0.0.1:4318/v1/traces`; none is told if unset.",
    )
    log_format: str = Field(default="console", description="console or json.")

    @field_validator(
        "paediatric_sources", "oidc_role_map", "trusted_proxies", "destination_ranges", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies", "destination_ranges")
    @classmethod
    def _ranges(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(each) for each in ranges_of(value))

    @field_validator("oidc_role_map")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pair in value:
            Role(pair.rpartition("=")[2])  # a ValueError names what is no role
            if not pair.rpartition("=")[0]:
                raise ValueError(f"{pair} is not of the form group=role")
        return value

    @model_validator(mode="after")
    def _whole_provider(self) -> Settings:
        if self.oidc_issuer is None:
            return self
        needed = ("oidc_client_id", "oidc_role_map", "public_url")
        if lacks := [f"FIRSTREAD_{name.upper()}" for name in needed if not getattr(self, name)]:
            raise ValueError(f"FIRSTREAD_OIDC_ISSUER also needs {' and '.join(lacks)}")
        if self.oidc_client_secret is not None and self.oidc_client_secret_file is not None:
            raise ValueError("set FIRSTREAD_OIDC_CLIENT_SECRET or the same with _FILE, not both")
        return self

    @model_validator(mode="after")
    def _way_of_messages(self) -> Settings:
        if self.audit_messages != "off" and self.audit_syslog is None:
            raise ValueError("FIRSTREAD_AUDIT_MESSAGES also needs FIRSTREAD_AUDIT_SYSLOG")
        if self.audit_messages == "identified" and not syslog.UNHEARD.match(self.audit_syslog or ""):
            raise ValueError(
                "with identified FIRSTREAD_AUDIT_MESSAGES, FIRSTREAD_AUDIT_SYSLOG must be tls://"
            )
        return self

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
