"""The description of a schema for page and terminal. Pure."""

from listeners.field_paths import Step, parse_field_path
from service.api.description import Description, FilterOffered, Key
from service.schema.schema_file import SchemaFile, default_schema, variable_in

ROLES = ("started", "ended", "updated", "progress", "processed", "failed", "total", "error")


def describe(file: SchemaFile) -> Description:
    """What clients can know of the answers; and of the documents the collection, and the field that orders lists."""
    answers = reversed(list(file.answer.items()))
    by_path = {_steps(answer.path or name): name for name, answer in answers}
    listed = {steps: name for steps, name in by_path.items() if file.answer[name].in_list}
    ordering = listed.get(_steps(file.order.field))
    variables = file.path.variables
    filters = [FilterOffered(name, "string", listed.get((f"{{{name}}}",))) for name in variables]
    for name, each in file.filters.items():
        key = listed.get(_steps(each.path or name))
        filters.append(FilterOffered(name, each.type, _shown(file, key, each.type)))
    return Description(
        keys=tuple(Key(name, answer.type, answer.in_list) for name, answer in file.answer.items()),
        roles={role: file.role(role) for role in ROLES},
        progress_of=file.roles.progress_of,
        order_key=ordering or file.role("started"),
        has_days=ordering is not None and file.answer[ordering].type == "time",
        terminal=file.status.terminal,
        failed=tuple(sorted(file.status.ended_badly)),
        filters=tuple(filters),
        children=tuple(file.children),
        has_products="products" in file.children,
        path_variables=variables,
        collection=file.collection or default_schema().collection or "",
        order_field=file.order.field,
        order_type=file.order.type,
    )


def _steps(path: str) -> tuple[Step, ...]:
    return (path,) if variable_in(path) is not None else parse_field_path(path).steps


def _shown(file: SchemaFile, key: str | None, type_: str) -> str | None:
    """The key, if it shows the filter's values unchanged."""
    if key is None or file.answer[key].type != type_:
        return None
    return None if key == "status" and file.status.names else key
