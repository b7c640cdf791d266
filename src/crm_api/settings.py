"""Settings, from the environment and `.env`. Every name starts with ``CRM_`` except the two everybody knows."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class OidcIssuer(BaseModel):
    """An OpenID Connect issuer whose bearer tokens sign members in."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    """Where its keys are; found by discovery when not given."""
    algorithms: list[str] = ["RS256", "ES256", "Ed25519", "EdDSA"]
    organization_claim: str | None = None
    """Claim with the organization's id; otherwise the client sends ``X-Organization-Id``."""


class Settings(BaseSettings):
    """Everything an operator can set. `crm-api doctor` explains what is wrong with them in words."""

    model_config = SettingsConfigDict(env_prefix="CRM_", env_file=".env", extra="ignore", populate_by_name=True)

    environment: Literal["development", "test", "production"] = "production"
    database_url: str = Field("", validation_alias=AliasChoices("DATABASE_URL", "CRM_DATABASE_URL", "database_url"))
    """The service role's connection; it must own nothing and not bypass row-level security."""
    migration_database_url: str = Field(
        "",
        validation_alias=AliasChoices("MIGRATION_DATABASE_URL", "CRM_MIGRATION_DATABASE_URL", "migration_database_url"),
    )
    """The owner's connection, for `crm-api migrate` only."""
    redis_url: str = Field("", validation_alias=AliasChoices("REDIS_URL", "CRM_REDIS_URL", "redis_url"))
    secret_keys: Annotated[list[SecretStr], NoDecode] = []
    """Master keys for secrets at rest, newest first, comma-separated: 32 random bytes each in URL-safe base64."""
    public_url: str = "http://127.0.0.1:8000"
    """How the outside reaches this API: webhook addresses are made from it."""
    host: str = "127.0.0.1"
    port: int = 8000
    processes: int = 1
    database_pool: int = 10
    database_statement_cache: int = 512
    """0 where a transaction pooler older than PgBouncer 1.21 stands between."""
    max_body_bytes: int = 1_000_000
    rate_limit_per_second: float = 100.0
    rate_limit_burst: int = 1000
    mail_url: str = ""
    """``smtp://``, ``smtp+starttls://``, ``smtps://user:password@host:port`` or ``file:///directory``."""
    mail_from: str = "donations@example.org"
    files_url: str = ""
    """Where files are kept: ``file:///directory`` or ``s3://bucket/prefix``. Needed before anybody can upload one."""
    files_endpoint: str = ""
    """Of an S3-compatible store that is not Amazon's, such as ``https://minio.example.org``."""
    files_region: str = ""
    files_access_key_id: str = ""
    """Empty: the credentials of the machine's role."""
    files_secret_access_key: SecretStr = SecretStr("")
    file_link_seconds: int = Field(300, ge=10, le=86_400)
    """How long a link to a file's content works."""
    retry_url: str = ""
    """Where a donor whose payment failed can try again, pay a pledge or begin a regular gift anew. ``{gift_id}``,
    ``{plan_id}``, ``{pledge_id}`` and ``{campaign}`` are filled in, empty where a letter has none. A letter without any
    of the ids that the address asks for has no link."""
    job_lease_seconds: float = 30.0
    job_retry_base_seconds: float = 1.0
    job_concurrency: int = 4
    sweep_seconds: float = 1.0
    doorbell_poll_seconds: float = 0.01
    service_urls: Annotated[dict[str, str], NoDecode] = {}
    paypal_ca_file: str = ""
    """PEM file of the certificates that PayPal's signing certificates must lead to, instead of the public roots."""
    oidc_issuers: list[OidcIssuer] = []
    log_level: str = "INFO"
    log_json: bool = True
    access_log: bool = True
    check_responses: bool = False
    """Validate every answer against its declared model (tests)."""

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("service_urls", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _only_https_in_production(self) -> Settings:
        if self.environment == "production":
            for service, url in self.service_urls.items():
                if not url.startswith("https://"):
                    raise ValueError(f"CRM_SERVICE_URLS: {service} must be an https URL in production")
        return self

    @property
    def mail_directory(self) -> Path | None:
        """Where letters are written as files, when they are."""
        return Path(self.mail_url.removeprefix("file://")) if self.mail_url.startswith("file://") else None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
