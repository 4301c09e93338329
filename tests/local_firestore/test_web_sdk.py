"""Firebase's web SDK in Node, on both servers: it writes over the Write stream.

Runs where Node finds the package: `npm install firebase` anywhere, and NODE_PATH its node_modules.
"""

import functools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("web_sdk.cjs")


@functools.cache
def is_installed() -> bool:
    if shutil.which("node") is None:
        return False
    found = subprocess.run(
        ["node", "-e", "require.resolve('firebase/firestore')"], capture_output=True, timeout=60, check=False
    )
    return found.returncode == 0


def test_the_web_sdk_writes_reads_and_listens(host: str, project: str) -> None:
    if not is_installed():
        pytest.skip("Node does not find the package firebase")
    done = subprocess.run(["node", str(SCRIPT), host, project], capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "read": {"n": 3},
        "refused": "not-found",
        "transaction": 5,
        "query": [["b", 6], ["a", 3]],
        "count": 2,
        "heard": {"n": 7},
    }
