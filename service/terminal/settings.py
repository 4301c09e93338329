"""The settings of the terminal commands, from the environment; options override them. Imports nothing of the server."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.runtime.environment import read_environment


class ClientSettings(BaseSettings):
    """Variables that begin with PROCESS_STATUS_."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", env_prefix="PROCESS_STATUS_")

    url: str = "http://127.0.0.1:8080"
    api_key: str | None = Field(None, repr=False)


def read_client_settings() -> ClientSettings:
    """Read them. Raises: WrongSettings."""
    return read_environment(ClientSettings, {})
