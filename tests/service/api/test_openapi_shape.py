"""/openapi.json as generators of clients and documentation read it. Without a service: the document is pure."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from service.api import operations
from service.api.contract import Operation, Parameter, QueryParameter, RepeatedParameter
from service.api.openapi import openapi_document
from service.api.parameters import include_parameter
from service.api.waits import UNTIL
from service.errors import BadParameter
from service.schema.description import describe
from service.schema.schema_file import default_schema

OPERATIONS = [value for value in vars(operations).values() if isinstance(value, Operation)]
DOCUMENT = openapi_document(OPERATIONS, describe(default_schema()), needs_key=True)
PARAMETERS = [parameter for operation in OPERATIONS for parameter in operation.parameters]
PARAMETERS.append(include_parameter("products"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
UNIONS = {"anyOf", "oneOf", "allOf"}


def methods() -> Iterator[dict[str, Any]]:
    for item in DOCUMENT["paths"].values():
        yield from (method for name, method in item.items() if name != "parameters")


def parts_of(schema: Any) -> Iterator[Any]:
    """The schema and all within it."""
    yield schema
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in inside:
        yield from parts_of(part)


def has_inline_type(schema: Any) -> bool:
    """Whether it has an object or a union, for which a generator of clients would have to make up a name."""
    return any(
        isinstance(part, dict)
        and (part.get("type") == "object" or {"properties", "anyOf", "oneOf", "allOf"} & set(part))
        for part in parts_of(schema)
    )


def test_no_response_has_an_object_or_union_without_a_name() -> None:
    contents = [
        (method["operationId"], status, content["schema"])
        for method in methods()
        for status, response in method["responses"].items()
        for content in response.get("content", {}).values()
    ]
    assert len(contents) > 20
    assert [each for each in contents if has_inline_type(each[2])] == []


def test_no_named_schema_has_another_object_or_union_inside() -> None:
    insides: dict[str, list[Any]] = {
        name: [*schema.get("properties", {}).values(), *schema.get("anyOf", [])] for name, schema in SCHEMAS.items()
    }
    assert [name for name, inside in insides.items() if has_inline_type(inside)] == []


def test_every_reference_resolves_and_every_schema_is_used() -> None:
    referred = {part["$ref"] for part in parts_of(DOCUMENT) if isinstance(part, dict) and "$ref" in part}
    of_schemas = {name.removeprefix("#/components/schemas/") for name in referred if "/schemas/" in name}
    assert of_schemas == SCHEMAS.keys()


@pytest.mark.parametrize(
    ("fetched_from", "base"),
    [
        ("https://api.example/openapi.json", "https://api.example/"),
        ("https://api.example/jobs/v1/openapi.json", "https://api.example/jobs/v1/"),
    ],
)
def test_the_server_resolves_behind_a_path_prefix(fetched_from: str, base: str) -> None:
    assert [urljoin(fetched_from, server["url"]) for server in DOCUMENT["servers"]] == [base]


@pytest.mark.parametrize("name", ["include_products", "follow"])
def test_flags_are_plain_booleans_whose_leniency_is_described(name: str) -> None:
    (flag,) = {id(parameter): parameter for parameter in PARAMETERS if parameter.name == name}.values()
    assert flag.schema == {"type": "boolean", "default": False}
    assert "`1`, `0` and any case" in flag.description
    assert [flag.read(text) for text in ("1", "TRUE", "True", "0", "FALSE")] == [True, True, True, False, False]


def test_every_operation_is_in_one_described_group() -> None:
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    assert {tuple(method["tags"]) for method in methods()} == {(name,) for name in described}


def checker(schema: Any) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=FormatChecker())


@pytest.mark.parametrize("name", sorted(SCHEMAS.keys() - {"Event", "ApiDocument"}))
def test_the_example_of_a_body_matches_its_schema(name: str) -> None:
    (example,) = SCHEMAS[name]["examples"]
    checker(SCHEMAS[name]).validate(example)
    known = SCHEMAS[name].get("properties", example)
    assert [key for key in known if key in example] == list(example)


@pytest.mark.parametrize("name", ["process_id", "wait", "until", "after", "status", "start_date", "end_date"])
def test_parameters_whose_schema_shows_no_value_have_an_example(name: str) -> None:
    assert all(parameter.example is not None for parameter in PARAMETERS if parameter.name == name)


def test_the_example_of_a_parameter_is_taken_by_it() -> None:
    with_example = [parameter for parameter in PARAMETERS if parameter.example is not None]
    for parameter in with_example:
        checker(parameter.schema).validate(parameter.example)
        taken(parameter)
    rendered = [
        each["example"] for item in DOCUMENT["paths"].values() for each in item["parameters"] if "example" in each
    ]
    assert rendered == [parameter.example for parameter in with_example]


def taken(parameter: Parameter[Any]) -> None:
    """Raises: BadParameter."""
    example = parameter.example
    if isinstance(parameter, QueryParameter | RepeatedParameter):
        values = example if isinstance(example, list) else [str(example)]
        parameter.of({parameter.name: values})
    else:
        parameter.read(str(example))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "running",
            " a , b ",
            "a b",
            "\r",
            "a,\r",
            "\x1f",
            "\u2003",
            "x" * 64,
            f" {'x' * 64} ,y",
            ",".join("abcdefghijklmnopqrstu"),
        ),
        *("", " ", ",", "a,,b", "a, ,b", "a,", ",a", "x" * 65, f"a,{'x' * 65}"),
    ],
)
def test_until_is_taken_exactly_where_its_schema_matches(text: str) -> None:
    try:
        UNTIL.read(text)
        is_taken = True
    except BadParameter:
        is_taken = False
    assert checker(UNTIL.schema).is_valid(text) == is_taken
