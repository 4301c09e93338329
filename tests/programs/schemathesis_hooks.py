"""What schemathesis can't learn from the document: which parameters need or exclude each other, and that time is short.

Loaded by its command line (`hooks` in schemathesis.toml). What a case was made to break stays broken.
"""

import re
from typing import Any

import schemathesis
from hypothesis import strategies as st

from service.api.list_query import write_page_token
from service.api.waits import UNTIL

POSITIONS = [(microseconds, "import-1") for microseconds in (0, 1_795_435_200_000_000)]
TOKENS = {write_page_token(position): position for position in POSITIONS}
FLAGS = ("include_products", "follow")
LENIENT = ("true", "false", "1", "0")
"""What flags take, in any case: the document declares them as plain booleans, and describes the rest."""

schemathesis.openapi.format("page-token", st.sampled_from(list(TOKENS)))


@schemathesis.hook
def before_add_examples(context: Any, examples: list[Any]) -> None:
    """The examples of all parameters at once obey the same rules as other cases."""
    for case in examples:
        map_case(context, case)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out the cases that are made to break a flag, but with a value that it takes."""
    lenient = [name for name in FLAGS if name in (case.query or {}) and str(case.query[name]).lower() in LENIENT]
    return not lenient or not (_parameter_broken(case) in lenient or _breaks_an_unnamed_parameter(case))


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Let each case obey the rules that stand between its parameters, but for those it was made to break."""
    query = case.query
    if query:
        _separate_the_two_forms_of_a_list(case, query)
        if query.get("page_token") in TOKENS:
            query["page_token"] = write_page_token(TOKENS[query["page_token"]], _filters(query))
        if "until" in query or "after" in query:
            query.setdefault("wait", 1)
        _shorten_waits(case, query)
        if case.operation.path == "/events" and 1 <= len(str(query.get("status", ""))) <= 64:
            query["status"] = "running"  # one whose events come
    return case


def _filters(query: dict[str, Any]) -> dict[str, str | bool]:
    """A token belongs to the filters of its list."""
    filters: dict[str, str | bool] = {"status": str(query["status"])} if "status" in query else {}
    if "stalled" in query:
        filters["stalled"] = str(query["stalled"]).lower() in ("true", "1")
    return filters


def _parameter_broken(case: Any) -> str | None:
    name: str | None = getattr(case.meta.phase.data, "parameter", None)
    return name


def _breaks_an_unnamed_parameter(case: Any) -> bool:
    """Whether the case is made to break parameters, without a word on which."""
    return _parameter_broken(case) is None and case.meta.generation.mode is schemathesis.GenerationMode.NEGATIVE


def _shorten_waits(case: Any, query: dict[str, Any]) -> None:
    """A process that does not exist, and a status that does not come, are waited for to the end."""
    if not str(query.get("wait")).isdigit() or int(query["wait"]) < 1:
        return
    query["wait"] = 1
    if re.fullmatch(UNTIL.schema["pattern"], str(query.get("until", ""))):
        query["until"] = "running,terminal"
    if _parameter_broken(case) != "process_id" and not _breaks_an_unnamed_parameter(case):
        case.path_parameters["process_id"] = "import-0"


def _separate_the_two_forms_of_a_list(case: Any, query: dict[str, Any]) -> None:
    if "process_id" not in query or len(query) == 1 or _breaks_an_unnamed_parameter(case):
        return
    broken = _parameter_broken(case)
    if broken == "process_id" or (broken is None and "limit" not in query):
        for name in [name for name in query if name != "process_id"]:
            del query[name]
    else:
        del query["process_id"]
