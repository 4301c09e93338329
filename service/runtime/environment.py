"""Reads settings from the environment: all of them, or one line per fault.

There is one rule for variables that are set but empty. An empty number or choice counts as unset. An empty text or list
is a fault: most likely a name, a key or an address got lost, and the default could open what the operator meant to
close (`API_KEYS`, `HOST`, `PROJECT_ID`, `FIRESTORE_DATABASE`, …).
"""

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

TEXTS = (str, str | None, tuple[str, ...], tuple[str, ...] | None, Path | None)
"""The types of names, keys and addresses: for these, an empty value is a fault."""

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


class WrongSettings(Exception):
    """The environment has settings that cannot be used. `faults` has one line per fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def report(self) -> str:
        """The text for stderr, one line per fault."""
        return "\n".join(f"process-status: wrong setting: {fault}" for fault in self.faults)


def read_environment(kind: type[AnySettings], overrides: dict[str, Any]) -> AnySettings:
    """Read these settings. `overrides` replace values of the environment. Raises: WrongSettings."""
    faults = {
        name: _fault(name, "is set, but empty; give it a value, or leave it unset")
        for name in _empty_texts(kind, overrides)
    }
    try:
        settings = kind(**overrides)
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for each in error.errors():
            if each["type"] != "default_factory_not_called":  # only a consequence of another fault
                name = f"{prefix}{each['loc'][0] if each['loc'] else ''}"
                faults.setdefault(name, _fault(name, each["msg"]))
    else:
        if not faults:
            return settings
    raise WrongSettings(list(faults.values()))


def _empty_texts(kind: type[BaseSettings], overrides: dict[str, Any]) -> list[str]:
    """The names of all texts and lists that are set but empty, unless they are overridden."""
    prefix = kind.model_config.get("env_prefix", "")
    fields = [(name, field.annotation) for name, field in kind.model_fields.items() if name not in overrides]
    texts = [f"{prefix}{name}" for name, annotation in fields if annotation in TEXTS]
    given = {name.upper(): value for name, value in os.environ.items()}
    return [name for name in texts if not given.get(name.upper(), "unset").strip()]


def _fault(name: str, message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{name.upper()}: {message[:1].lower()}{message[1:]}" if name else message
