"""What schemathesis can't learn from the document: which parameters need or exclude each other, and that time is short.

Loaded by its command line (`hooks` in schemathesis.toml). What a case was made to break stays broken.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st

from service.api.list_query import write_page_token

TOKENS = [write_page_token((microseconds, "import-1")) for microseconds in (0, 1_795_435_200_000_000)]

schemathesis.openapi.format("page-token", st.sampled_from(TOKENS))


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Let each case obey the rules that stand between its parameters, but for those it was made to break."""
    query = case.query
    if query:
        _separate_the_two_forms_of_a_list(case, query)
        if "until" in query or "after" in query:
            query.setdefault("wait", 1)
        _shorten_waits(case, query)
        if case.operation.path == "/events" and 1 <= len(str(query.get("status", ""))) <= 64:
            query["status"] = "running"  # one whose events come
    return case


def _shorten_waits(case: Any, query: dict[str, Any]) -> None:
    """A process that does not exist, and a status that does not come, are waited for to the end."""
    if not str(query.get("wait")).isdigit() or int(query["wait"]) < 1:
        return
    query["wait"] = 1
    if 1 <= len(str(query.get("until", ""))) <= 64:
        query["until"] = "running,terminal"
    broken = getattr(case.meta.phase.data, "parameter", None)
    is_negative = case.meta.generation.mode is schemathesis.GenerationMode.NEGATIVE
    if broken != "process_id" and not (is_negative and broken is None):
        case.path_parameters["process_id"] = "import-0"


def _separate_the_two_forms_of_a_list(case: Any, query: dict[str, Any]) -> None:
    if "process_id" not in query or len(query) == 1:
        return
    broken = getattr(case.meta.phase.data, "parameter", None)
    if broken is None and case.meta.generation.mode is schemathesis.GenerationMode.NEGATIVE:
        return  # it is not told which of them are broken
    if broken == "process_id" or (broken is None and "limit" not in query):
        for name in [name for name in query if name != "process_id"]:
            del query[name]
    else:
        del query["process_id"]
