"""A schema that remembers everything it made and all that it made it of, to tell at the end whether any was changed."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from typing import Any

from service.schema.compiled import ProcessSummary, Schema, Summarized
from service.schema.schema_file import SchemaFile


class Witness(Schema):
    """Compares values, and of a process the very objects: an equal one in place of another is a change too."""

    def __init__(self, file: SchemaFile) -> None:
        super().__init__(file)
        self._made: list[tuple[ProcessSummary, dict[str, Any]]] = []
        self._read: list[tuple[Mapping[str, object], str]] = []

    def summarize(
        self, process_id: str, version: int, fields: Mapping[str, object], held: ProcessSummary | None = None
    ) -> Summarized:
        self._read.append((fields, repr(deepcopy(fields))))
        summary, malformed = super().summarize(process_id, version, fields, held)
        self._made.append((summary, _attributes(summary)))
        return summary, malformed

    def finds_everything_as_it_was(self) -> bool:
        assert self._made
        return all(repr(read) == before for read, before in self._read) and all(
            value is before[name] for summary, before in self._made for name, value in _attributes(summary).items()
        )


def _attributes(summary: ProcessSummary) -> dict[str, Any]:
    return {each.name: getattr(summary, each.name) for each in fields(summary)}
