"""Every command that the documentation shows is run as it stands, or listed with the reason why it can't be."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.settings import DEMO_PROJECT
from tests.deploy.pages import Block, blocks, commands_in_text
from tests.deploy.programs import REPOSITORY, eventually, http_status, serving
from tests.deploy.reader import ELSEWHERE, NeitherRunNorListed, Reader
from tests.firestore_servers import BackgroundFirestore

DOCS = sorted(f"docs/{file.name}" for file in (REPOSITORY / "docs").glob("*.md"))
PAGES = ("README.md", *DOCS, "CONTRIBUTING.md", "SECURITY.md")
CONSOLES = [block for block in blocks(*PAGES) if block.language == "console"]
IN_TEXT = commands_in_text(*PAGES)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
PROJECTS = (DEMO_PROJECT, "my-project")
RUN_BY_OTHERS = {
    "python": "test_examples.py",
    "javascript": "test_examples.py",
    "mermaid": "a picture",
    "json": "an answer",
    "toml": "tests/service/schema/test_schema_file.py",
}


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[str, str]]:
    """A service and its Firestore, in which the process that the pages speak of has ended."""
    with BackgroundFirestore() as firestore, serving(firestore.host) as service:
        for project in PROJECTS:
            firestore.commit(project, {"webServiceLogs/import-1": {"status": "completed", "start_time": NOON}})
        eventually(lambda: http_status(f"{service.found}/status/import-1") == 200, "the process is there")
        yield service.found.rpartition(":")[2], firestore.host.rpartition(":")[2]


@pytest.fixture
def reader(ports: tuple[str, str], tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path, service=ports[0], firestore=ports[1]) as reader:
        yield reader


@pytest.mark.parametrize("block", CONSOLES, ids=str)
def test_a_block_can_be_typed_from_its_first_line_to_its_last(reader: Reader, block: Block) -> None:
    assert block.commands, "a console block shows what to type: $ and the command"
    for line in block.commands:
        reader.types(line)


@pytest.mark.parametrize("command", IN_TEXT)
def test_a_command_in_a_sentence_works(reader: Reader, command: str) -> None:
    reader.types(command)


def test_no_block_is_left_out() -> None:
    languages = {block.language for block in blocks(*PAGES)}
    assert languages <= {"console", *RUN_BY_OTHERS}


def test_what_is_not_run_is_still_there() -> None:
    shown = "\n".join([line for block in CONSOLES for line in block.commands] + IN_TEXT)
    assert [command for command in ELSEWHERE if command not in shown] == []


@pytest.mark.parametrize("line", ["gcloud run services list", "rm -rf /tmp/nothing-of-ours"])
def test_an_unknown_command_fails(reader: Reader, line: str) -> None:
    with pytest.raises(NeitherRunNorListed):
        reader.types(line)


@pytest.mark.parametrize(
    "line",
    [
        "curl localhost:8080/no-such-path",
        "make no-such-target",
        "python -m benchmarks.no_such_benchmark",
        "python -m benchmarks.local_firestore --no-such-option",
        "process-status no-such-command",
    ],
)
def test_a_command_that_fails_is_noticed(reader: Reader, line: str) -> None:
    with pytest.raises(AssertionError):
        reader.types(line)
