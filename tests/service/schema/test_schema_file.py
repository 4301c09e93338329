"""The schema file: what is taken, and one line for each fault, naming table and key."""

import re
from pathlib import Path

import pytest

from service.api.operations import OPERATIONS
from service.schema.schema_file import SchemaFile, WrongSchema, default_schema, parse_schema, read_schema_file

WHOLE = """
collection = "jobs"

[order]
field = "meta.createdAt"
type = "milliseconds"

[status]
terminal = ["DONE", "FAILED"]
failed = ["FAILED"]
names = { 0 = "queued", 3 = "DONE" }

[answer]
status = "delivery.state"
start_time = { from = "createdAt", as = "time", unit = "ms", zero_is_null = true }
progress = { from = "progress.percent", as = "number" }
step = "system_status[-1].stage"
result = { from = "output", as = "json", in_list = false }

[filters]
owner = "uid"
shard = { as = "integer" }

[children.logs]
subcollection = "logs"
order_by = "at"
limit = 100

[access]
owner = "owner"

[roles]
started = "start_time"
progress_of = 1
"""

STATUS = '[answer]\nstatus = "status"\n'


KEY_RULE = "must be 1 to 64 letters, digits and underscores, not beginning with a digit"

GROUP = "collection = 'users/{uid}/jobs'\nanswer.status = 'status'\n"


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(WrongSchema) as wrong:
        parse_schema(text)
    return wrong.value.faults


def test_every_table_is_read() -> None:
    schema = parse_schema(WHOLE)
    assert schema.collection == "jobs"
    assert (schema.order.field, schema.order.type) == ("meta.createdAt", "milliseconds")
    assert schema.status.names == {"0": "queued", "3": "DONE"}
    assert list(schema.answer) == ["status", "start_time", "progress", "step", "result"]
    start_time = schema.answer["start_time"]
    assert (start_time.path, start_time.type, start_time.unit, start_time.zero_is_null) == (
        "createdAt",
        "time",
        "ms",
        True,
    )
    assert not schema.answer["result"].in_list
    assert (schema.filters["owner"].path, schema.filters["shard"].type) == ("uid", "integer")
    assert (schema.children["logs"].subcollection, schema.children["logs"].limit) == ("logs", 100)
    assert schema.access.owner == "owner"


def test_the_default_is_the_documents_of_the_first_version() -> None:
    schema = default_schema()
    assert schema.collection == "webServiceLogs"
    assert list(schema.answer) == [
        "status",
        "start_time",
        "end_time",
        "last_updated",
        "csv_url",
        "products_processed",
        "products_failed",
    ]
    assert [key for key, answer in schema.answer.items() if not answer.in_list] == ["csv_url"]


def test_roles_default_to_the_keys_of_their_names() -> None:
    schema = default_schema()
    assert (schema.role("started"), schema.role("processed"), schema.role("progress")) == (
        "start_time",
        "products_processed",
        None,
    )


@pytest.mark.parametrize(
    ("failed", "expected"),
    [("", {"FAILED", "error_x", "TIMED_OUT"}), ('failed = ["gone"]', {"gone"})],
)
def test_what_ended_badly_is_named_or_guessed(failed: str, expected: set[str]) -> None:
    terminal = '[status]\nterminal = ["done", "FAILED", "error_x", "TIMED_OUT", "cancelled", "gone"]\n'
    assert parse_schema(STATUS + terminal + failed).status.ended_badly == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[answer", "not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("[answer]\nx = 'x'", "answer.status: is missing"),
        (STATUS + "x = 1", "answer.x: Input should be a valid dictionary or instance of Answer"),
        (STATUS + "x = { unit = 7, as = 'time' }", "answer.x.unit: Input should be 's' or 'ms'"),
        (STATUS + "x = { unit = 'ms' }", 'answer.x: unit goes with as = "time"'),
        (STATUS + "x = { as = 'time', unit = 'us' }", "answer.x.unit: Input should be 's' or 'ms'"),
        (STATUS + "x = { zero_is_null = true }", 'answer.x: zero_is_null goes with as = "time", "integer" or "number"'),
        (
            STATUS + "x = 'a..b'",
            "answer.x.from: 'a..b' is no field path: character 3 begins no name; quote it with `…`",
        ),
        (STATUS + "process_id = 'x'", "answer.process_id: is always the document ID; leave it out"),
        (STATUS + "'a b' = 'x'", f"answer.a b: 'a b' {KEY_RULE}"),
        (STATUS + "[filters]\n'1a' = 'x'", f"filters.1a: '1a' {KEY_RULE}"),
        (STATUS + "x = { form = 'y' }", "answer.x.form: unknown key"),
        (STATUS + "[others]\n", "others: unknown key"),
        (
            "[answer]\nstatus = { as = 'integer' }",
            "answer.status: is text in every answer and list; write the path alone",
        ),
        (
            STATUS + "[order]\ntype = 'date'",
            "order.type: Input should be 'timestamp', 'string', 'milliseconds' or 'seconds'",
        ),
        (
            STATUS + "[order]\nfield = 'a[0]'",
            "order.field: 'a[0]' has an array's index, by which Firestore can't query",
        ),
        (STATUS + "[filters]\nlimit = 'x'", "filters.limit: is a parameter of its own"),
        (
            STATUS + "[filters]\ninclude_x = 'x'",
            "filters.include_x: names that begin with include_ are those of children",
        ),
        (STATUS + "[filters]\nx = { as = 'time' }", "filters.x.as: Input should be 'string' or 'integer'"),
        (STATUS + "[access]\nowner = 'uid'", "access.owner: 'uid' is not one of the filters"),
        (STATUS + "[roles]\nended = 'x'", "roles.ended: 'x' is not a key of the answer"),
        (STATUS + "[roles]\nprogress_of = 10", "roles.progress_of: Input should be 1 or 100"),
        (STATUS + "[status]\nterminal = ['a']\nfailed = ['b']", "status: failed: 'b' must be in terminal too"),
        (STATUS + "[children.status]\nfrom = 'x'", "children.status: answer has a key of this name"),
        (STATUS + "[children.process_id]\nfrom = 'x'", "children.process_id: answer has a key of this name"),
        (STATUS + "[children.a]\nsubcollection = 'x/y'", "children.a.subcollection: 'x/y' is no name of a collection"),
        (
            STATUS + "[children.a]\nsubcollection = '__x__'",
            "children.a.subcollection: '__x__' is no name of a collection",
        ),
        (
            STATUS + "[children.a]\norder_by = 'x[0]'",
            "children.a.order_by: 'x[0]' has an array's index, by which Firestore can't query",
        ),
        (STATUS + "[children.logs]\nlimit = 1001", "children.logs.limit: Input should be less than or equal to 1000"),
        (
            "collection = 'a/b'\n" + STATUS,
            "collection: 'a/b' names documents; it must end with the name of a collection",
        ),
        (
            GROUP + "filters.uid = 'x'",
            "filters.uid: {uid} of the collection is a filter of that name already; leave it out",
        ),
        (GROUP + "answer.owner = '{user}'", "answer.owner: the collection users/{uid}/jobs has no {user}"),
        (GROUP + "answer.owner = { from = '{uid}', as = 'integer' }", "answer.owner: {uid} is text; leave `as` out"),
        (STATUS + "owner = '{uid}'", "answer.owner: the collection webServiceLogs has no {uid}"),
        (
            "collection = 'users/{limit}/jobs'\n" + STATUS,
            "collection: {limit} has the name of a parameter of its own; call it otherwise",
        ),
        (
            "collection = 'users/{uid}/{uid}'\n" + STATUS,
            "collection: 'users/{uid}/{uid}' has {uid} where a collection's name is expected",
        ),
    ],
)
def test_each_fault_is_one_line_that_names_its_place(text: str, fault: str) -> None:
    assert faults(text) == (fault,)


@pytest.mark.parametrize("name", sorted({"stalled"}.union(*(operation.query_names for operation in OPERATIONS))))
def test_a_filter_cannot_have_the_name_of_a_parameter(name: str) -> None:
    (fault,) = faults(STATUS + f"[filters]\n{name} = 'x'")
    assert fault.startswith(f"filters.{name}: ")


def test_all_faults_are_named_at_once() -> None:
    assert len(faults(STATUS + "x = { as = 'int', form = 'y' }\n[order]\ntype = 'date'\n[others]\n")) == 4


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(WrongSchema, match=r"absent\.toml: can't be read: "):
        read_schema_file(tmp_path / "absent.toml")


def test_a_files_faults_begin_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "jobs.toml"
    file.write_text("[answer]\n")
    with pytest.raises(WrongSchema) as wrong:
        read_schema_file(file)
    assert wrong.value.faults == (f"{file}: answer.status: is missing",)


def test_the_file_that_the_documentation_shows_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "schema.md").read_text()
    text, *_ = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    file = parse_schema(text)
    assert (file.collection, file.order.field, file.role("processed")) == ("jobs", "createdAt", "rows")
    tables = set(SchemaFile.model_fields) - {"collection", "access"}
    assert [table for table in tables if not re.search(rf"^\[{table}[].]", text, re.MULTILINE)] == []
