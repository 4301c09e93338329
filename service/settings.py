"""The settings: immutable, and checked once at the start. The environment variable has the field's name in upper case.

If settings are wrong, the service does not start: `read_settings` raises WrongSettings with one line per fault.

Libraries read variables of their own: Google's `GOOGLE_APPLICATION_CREDENTIALS` and `FIRESTORE_EMULATOR_HOST`,
prometheus_client `PROMETHEUS_MULTIPROC_DIR`. The last two are settings as well, so that they are checked here.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ByteSize, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from listeners.collection_path import collection_path
from listeners.window import OrderType
from service.access.settings import AccessSettings
from service.runtime.addresses import ANY_IPV4, bind_addresses, emulator_host, web_origin
from service.runtime.environment import WrongSettings, read_environment
from service.schema.schema_file import SchemaFile, WrongSchema, default_schema, read_schema_file

DEMO_PROJECT = "demo-process-status"
"""The project if only FIRESTORE_EMULATOR_HOST is set; emulators accept any project."""


LISTENER_LEASE_S: dict[str, float] = {"on_snapshot": 60.0, "stream": 15.0}
"""The default lease of each listener. Probes prove the ages of one; those of the other are estimates."""


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("must be a finite number of seconds")
    return seconds


Seconds = Annotated[float, AfterValidator(_finite)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


def _lease_of_listener(earlier_fields: dict[str, Any]) -> float:
    return LISTENER_LEASE_S[earlier_fields.get("listener", "on_snapshot")]


class Settings(AccessSettings):
    """The operator's settings. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    firestore_emulator_host: str = ""
    project_id: str = ""
    schema_file: Path | None = None
    firestore_collection: str | None = None
    firestore_database: str = "(default)"

    host: CommaSeparated = (ANY_IPV4,)  # all addresses, because a container is reached through its own address
    port: int = Field(8080, ge=0, le=65535)
    metrics_port: int | None = Field(None, ge=0, le=65535)

    environment: Literal["production", "development"] = "production"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    listener: Literal["on_snapshot", "stream"] = "stream"
    start_time_type: OrderType | None = None
    window_size: int = Field(10_000, ge=0)
    listener_lease_s: Seconds = Field(default_factory=_lease_of_listener, gt=0)
    probe_interval_s: Seconds = Field(5, gt=0)

    cache_ttl_s: Seconds = Field(5, ge=0)
    negative_ttl_s: Seconds = Field(1, ge=0)
    cache_max_bytes: ByteSize = Field(ByteSize(64 * 1024 * 1024), ge=0)
    stale_if_error_s: Seconds = Field(300, ge=0)

    firestore_timeout_s: Seconds = Field(5, gt=0)
    fallback_concurrency: int = Field(64, ge=1)
    fallback_rate: Annotated[float, AfterValidator(_finite)] = Field(500, gt=0)
    caller_share: Annotated[float, AfterValidator(_finite)] = Field(0.5, gt=0, le=1)
    max_watchers: int = Field(20_000, ge=0)
    max_wait_s: int = Field(55, ge=1)

    audit_interval_s: Seconds = Field(30, gt=0)
    audit_sample: int = Field(5, ge=1, le=100)

    stalled_after_s: Seconds = Field(900, ge=0)
    terminal_statuses: Annotated[tuple[str, ...] | None, NoDecode] = None
    api_keys: CommaSeparated = Field((), repr=False)
    cors_origins: CommaSeparated = ()
    drain_s: Seconds = Field(8, ge=0)

    prometheus_multiproc_dir: str = ""
    metrics_sockets: CommaSeparated = ()
    """Descriptors of sockets that already listen on METRICS_PORT: gunicorn.conf.py opens them for all workers."""

    @cached_property
    def schema_in_force(self) -> SchemaFile:
        """SCHEMA_FILE or the default, with the values that other settings override. Raises: WrongSchema."""
        file = default_schema() if self.schema_file is None else read_schema_file(self.schema_file)
        return file.overridden(
            collection=self.firestore_collection,
            order_type=self.start_time_type,
            terminal=self.terminal_statuses,
        )

    @property
    def share_of_a_caller(self) -> float:
        """The share of direct reads and of watchers; 1 if there is only one caller."""
        return self.caller_share if self.auth is not None or len(self.api_keys) > 1 else 1.0

    @property
    def collection(self) -> str:
        """The collection with the documents."""
        return self.schema_in_force.path.text

    @field_validator("fallback_rate", mode="before")
    @classmethod
    def _rate_may_carry_its_unit(cls, value: object) -> object:
        return value.removesuffix("/s") if isinstance(value, str) else value

    @field_validator("log_level", "environment", mode="before")
    @classmethod
    def _case_does_not_matter(cls, value: object, info: object) -> object:
        if not isinstance(value, str):
            return value
        return value.upper() if getattr(info, "field_name", "") == "log_level" else value.lower()

    @field_validator(
        "host", "terminal_statuses", "api_keys", "auth_audience", "cors_origins", "metrics_sockets", mode="before"
    )
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, str):
            parts = tuple(part.strip() for part in value.split(",") if part.strip())
            if not parts:
                raise ValueError("names nothing; leave it unset instead")  # empty keys would open the service
            return parts
        return value

    @field_validator("host")
    @classmethod
    def _host_is_a_list_of_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return bind_addresses(value)

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_as_browsers_send_them(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(web_origin(origin) for origin in value))

    @field_validator("firestore_emulator_host")
    @classmethod
    def _emulator_has_a_host_and_a_port(cls, value: str) -> str:
        return emulator_host(value) if value else value

    @field_validator("firestore_collection")
    @classmethod
    def _collection_can_be_one(cls, value: str | None) -> str | None:
        if value is not None:
            collection_path(value)
        return value

    @field_validator("project_id")
    @classmethod
    def _project_is_known(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("firestore_emulator_host") == "":  # a wrong host is a fault of its own
            raise ValueError("is required, unless FIRESTORE_EMULATOR_HOST is set")
        return value or DEMO_PROJECT

    @field_validator("metrics_port")
    @classmethod
    def _metrics_have_a_port_of_their_own(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and value == info.data.get("port"):
            raise ValueError("must differ from PORT")  # otherwise each request would go to either of the two
        return value


def read_settings(**overrides: Any) -> Settings:
    """Read the environment. `overrides` replace values of it. Raises: WrongSettings."""
    settings = read_environment(Settings, overrides)
    try:
        settings.schema_in_force  # noqa: B018 - reads the file
    except WrongSchema as wrong:
        raise WrongSettings([f"SCHEMA_FILE: {fault}" for fault in wrong.faults]) from None
    return settings
