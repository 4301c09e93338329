"""Firebase's Auth emulator: real sign-ups, real ID tokens, no signatures."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.programs import running
from tests.required import required

HOW_TO_GET_IT = "no Auth emulator found; install it with: npm install --global firebase-tools"
START_S = 170.0
"""It compiles the descriptions of all its operations, which keeps one core busy for half a minute."""


class AuthEmulator:
    """Where it listens."""

    def __init__(self, host: str) -> None:
        self.host = host

    @property
    def sign_up_url(self) -> str:
        """Where an app creates an account, as Firebase's SDK does."""
        return f"http://{self.host}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any"


def program() -> str:
    """Where it is installed. Skips the test elsewhere, or fails it where REQUIRE_AUTH_EMULATOR=1."""
    return required(shutil.which(os.environ.get("FIREBASE", "firebase")), "REQUIRE_AUTH_EMULATOR", HOW_TO_GET_IT)


@contextmanager
def auth_emulator(project: str, directory: Path) -> Iterator[AuthEmulator]:
    """One on ports of its own. A project that begins with `demo-` never leaves this machine."""
    command = program()
    auth, hub, logging = _free_ports(3)
    emulators = {
        "auth": {"host": "127.0.0.1", "port": auth},
        "hub": {"host": "127.0.0.1", "port": hub},
        "logging": {"host": "127.0.0.1", "port": logging},
        "ui": {"enabled": False},
    }
    (directory / "firebase.json").write_text(json.dumps({"emulators": emulators}))
    arguments = [command, "emulators:start", "--only", "auth", "--project", project]
    environment = {**os.environ, "CI": "1", "XDG_CONFIG_HOME": str(directory)}
    with running(arguments, "All emulators ready", environment=environment, cwd=directory, patience_s=START_S):
        yield AuthEmulator(f"127.0.0.1:{auth}")


def _free_ports(count: int) -> list[int]:
    """The emulator cannot choose ports itself."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
