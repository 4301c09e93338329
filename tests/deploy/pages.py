"""What the pages of the documentation show: fenced blocks, and the commands in their text."""

import re
from dataclasses import dataclass

from tests.deploy.programs import REPOSITORY

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+ )*"
    r"(?:process-status|python3?|make|curl|gunicorn|pip|npm|node|apt-get|gcloud|firebase|kubectl|docker|prom\w+) \S"
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `language` is the word after its fence."""

    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of a console block that are typed; the others are what comes of them."""
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]

    def __str__(self) -> str:
        return f"{self.page}: {(self.commands or self.text.splitlines())[0]}"


def blocks(*pages: str) -> list[Block]:
    """Every fenced block."""
    return [
        Block(page, match[1], match[2]) for page in pages for match in _FENCED.finditer((REPOSITORY / page).read_text())
    ]


def commands_in_text(*pages: str) -> list[str]:
    """What is set as code in a sentence and begins as a command with arguments does."""
    prose = "\n".join(_FENCED.sub("", (REPOSITORY / page).read_text()) for page in pages)
    spans = [" ".join(span.split()) for span in _CODE_SPAN.findall(prose)]
    return list(dict.fromkeys(span for span in spans if _COMMAND.match(span)))
