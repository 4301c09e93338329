"""python-firestore's system tests: fetched with the locked version's source, run as on an emulator by their authors.

Nothing of them is kept: the source is unpacked in a temporary folder, and checked against the lock's hashes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.sdk import stand_ins

REPOSITORY = Path(__file__).parents[2]
NAME = "google-cloud-firestore"
PATIENCE_S = 240
_PINNED = re.compile(rf"^{NAME}==\S+(?: \\\n +--hash=\S+)+", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What became of one test: "passed", "failed" or "skipped", and of a failed one the words it failed with."""

    outcome: str
    words: str = ""


def fetch(folder: Path) -> Path:
    """Download the locked version's source into `folder`; the folder with its system tests."""
    pinned = _PINNED.search((REPOSITORY / "requirements.lock").read_text())
    assert pinned is not None, f"requirements.lock does not pin {NAME}"
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{pinned.group()}\n")
    source_only = ["--no-deps", "--no-binary", NAME, "--no-build-isolation", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={folder}", f"--requirement={requirement}"]
    subprocess.run([*pip, *source_only], check=True, timeout=PATIENCE_S)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    (tests,) = folder.glob("*/tests/system")
    return tests


def run(tests: Path, file: str, host: str, project: str) -> Mapping[str, Outcome]:
    """Run one file of the suite on the Firestore at `host`; its outcomes by test ID."""
    outcomes = tests / f"{file}.outcomes"
    environment = {
        **os.environ,
        "FIRESTORE_EMULATOR_HOST": host,
        "GCLOUD_PROJECT": project,
        "PYTHONPATH": str(REPOSITORY),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # this project's plugins are not the suite's
        stand_ins.OUTCOMES: str(outcomes),
    }
    plugins = [
        "-p",
        stand_ins.__name__,
        "-p",
        "pytest_asyncio.plugin",
        "-p",
        "pytest_timeout",
        "-p",
        "no:cacheprovider",
    ]
    one_loop = [f"--override-ini=asyncio_default_{each}_loop_scope=module" for each in ("fixture", "test")]
    pytest = [sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={tests}", "--timeout=60", "--tb=short"]
    ended = subprocess.run(
        [*pytest, *plugins, *one_loop, "-pno:cacheprovider", file],
        cwd=tests,
        env=environment,
        timeout=PATIENCE_S,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stdout  # more than failed tests: nothing ran
    return {test: Outcome(**found) for test, found in json.loads(outcomes.read_text()).items()}
