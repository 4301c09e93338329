"""The settings: frozen, checked once at the start, and the only place that reads the environment.

Every setting is an environment variable named like its field in upper case; an empty one counts as unset. A wrong
one is a fault of the start: `read_settings` raises WrongSettings with one line for each.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ByteSize, Field, ValidationError, ValidationInfo, field_validator
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


def _lease_of_listener(earlier_fields: dict[str, Any]) -> float:
    return LISTENER_LEASE_S[earlier_fields.get("listener", "on_snapshot")]


class Settings(BaseSettings):
    """What the operator decided. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    firestore_emulator_host: str = ""
    project_id: str = ""
    firestore_collection: str = "webServiceLogs"
    firestore_database: str = "(default)"

    host: str = "0.0.0.0"  # noqa: S104 - a server in a container is reached through the container's address
    port: int = Field(8080, ge=0, le=65535)
    metrics_port: int | None = Field(None, ge=0, le=65535)

    environment: Literal["production", "development"] = "production"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    listener: Literal["on_snapshot", "stream"] = "stream"
    start_time_type: StartTimeType = "timestamp"
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
    max_watchers: int = Field(20_000, ge=0)

    audit_interval_s: Seconds = Field(30, gt=0)
    audit_sample: int = Field(5, ge=1, le=100)

    terminal_statuses: CommaSeparated = ("completed", "failed", "cancelled")
    api_keys: CommaSeparated = Field((), repr=False)
    cors_origins: CommaSeparated = ()
    drain_s: Seconds = Field(8, ge=0)
    fast_path: bool = True

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
            parts = tuple(part.strip() for part in value.split(",") if part.strip())
            if not parts:
                raise ValueError("names nothing; leave it unset instead")  # no keys at all would let everybody in
            return parts
        return value

    @field_validator("firestore_collection")
    @classmethod
    def _collection_is_one_path_segment(cls, value: str) -> str:
        if "/" in value or value in (".", "..") or (value.startswith("__") and value.endswith("__")):
            raise ValueError("must be the ID of a top-level collection: no '/', not '.', '..' or '__…__'")
        return value

    @field_validator("project_id")
    @classmethod
    def _project_is_known(cls, value: str, info: ValidationInfo) -> str:
        if not value and not info.data.get("firestore_emulator_host"):
            raise ValueError("is required, unless FIRESTORE_EMULATOR_HOST is set")
        return value or DEMO_PROJECT

    @field_validator("metrics_port")
    @classmethod
    def _metrics_have_a_port_of_their_own(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and value == info.data.get("port"):
            raise ValueError("must differ from PORT")  # both would be bound, each request going to either
        return value


class ClientSettings(BaseSettings):
    """What `process-status watch` and `list` take from the environment where no option says otherwise."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", env_prefix="PROCESS_STATUS_")

    url: str = "http://127.0.0.1:8080"
    api_key: str | None = Field(None, repr=False)


def read_settings() -> Settings:
    """Read the environment. Raises: WrongSettings."""
    try:
        return Settings()  # every field comes from the environment
    except ValidationError as error:
        faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]  # only a sequel
        raise WrongSettings([_fault(fault["loc"], fault["msg"]) for fault in faults]) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    name = str(location[0]).upper() if location else ""
    return f"{name}: {message[:1].lower()}{message[1:]}" if name else message
