"""The settings: frozen, checked once at the start, and the only place that reads the environment.

Every setting is an environment variable named like its field in upper case; an empty one counts as unset. A wrong
one is a fault of the start: `read_settings` raises WrongSettings with one line for each.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from listeners.window import StartTimeType

DEMO_PROJECT = "demo-process-status"
"""The project used where only FIRESTORE_EMULATOR_HOST is set; emulators accept any."""

LISTENER_LEASE_S: dict[str, float] = {"on_snapshot": 60.0, "stream": 15.0}
"""The default lease of each listener: one can be probed every few seconds, the other is only heard or audited."""


class WrongSettings(Exception):
    """The environment holds settings that can't be used. `faults` has one line for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def report(self) -> str:
        """What stderr shows, a line for each fault."""
        return "\n".join(f"process-status: wrong setting: {fault}" for fault in self.faults)


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("must be a finite number of seconds")
    return seconds


Seconds = Annotated[float, AfterValidator(_finite)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the operator decided. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    project_id: str = ""
    firestore_collection: str = "webServiceLogs"
    firestore_database: str = "(default)"
    firestore_emulator_host: str = ""

    host: str = "0.0.0.0"  # noqa: S104 - a server in a container is reached through the container's address
    port: int = Field(8080, ge=0, le=65535)
    metrics_port: int | None = Field(None, ge=0, le=65535)

    environment: Literal["production", "development"] = "production"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    listener: Literal["on_snapshot", "stream"] = "on_snapshot"
    start_time_type: StartTimeType = "timestamp"
    window_size: int = Field(10_000, ge=0)
    listener_lease_s: Seconds = Field(0, ge=0)
    probe_interval_s: Seconds = Field(5, gt=0)

    cache_ttl_s: Seconds = Field(5, ge=0)
    negative_ttl_s: Seconds = Field(1, ge=0)
    cache_max_bytes: ByteSize = Field(ByteSize(64 * 1024 * 1024), ge=0)
    stale_if_error_s: Seconds = Field(300, ge=0)

    firestore_timeout_s: Seconds = Field(5, gt=0)
    fallback_concurrency: int = Field(64, ge=1)
    fallback_rate: Annotated[float, AfterValidator(_finite)] = Field(500, gt=0)
    max_watchers: int = Field(20_000, ge=0)

    audit_interval_s: Seconds = Field(30, gt=0)
    audit_sample: int = Field(5, ge=1, le=100)

    terminal_statuses: CommaSeparated = ("completed", "failed", "cancelled")
    api_keys: CommaSeparated = Field((), repr=False)
    cors_origins: CommaSeparated = ()
    drain_s: Seconds = Field(8, ge=0)

    prometheus_multiproc_dir: str = ""

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

    @field_validator("terminal_statuses", "api_keys", "cors_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("firestore_collection")
    @classmethod
    def _collection_is_one_path_segment(cls, value: str) -> str:
        if "/" in value or value in (".", "..") or (value.startswith("__") and value.endswith("__")):
            raise ValueError("must be the ID of a top-level collection: no '/', not '.', '..' or '__…__'")
        return value

    @model_validator(mode="after")
    def _fill_what_depends_on_others(self) -> Self:
        if not self.project_id:
            if not self.firestore_emulator_host:
                raise ValueError("PROJECT_ID: is required, unless FIRESTORE_EMULATOR_HOST is set")
            object.__setattr__(self, "project_id", DEMO_PROJECT)
        if not self.listener_lease_s:
            object.__setattr__(self, "listener_lease_s", LISTENER_LEASE_S[self.listener])
        return self


def read_settings() -> Settings:
    """Read the environment. Raises: WrongSettings."""
    try:
        return Settings()  # type: ignore[call-arg] # every field comes from the environment
    except ValidationError as error:
        raise WrongSettings([_fault(fault["loc"], fault["msg"]) for fault in error.errors()]) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    name = str(location[0]).upper() if location else ""
    return f"{name}: {message[:1].lower()}{message[1:]}" if name else message
