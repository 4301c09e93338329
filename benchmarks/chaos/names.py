"""The processes that a chaos run writes. Apart from the rest, so that clients start without Firestore's libraries.

A key names a process: its ID, or `parent/ID` in a collection group. The key of a foreign document, one of the group's
name that does not fit the pattern, is a slash and its path.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

COLLECTION = "webServiceLogs"
PARENTS = 4
"""Of the processes of a group; each has processes of the same IDs."""

_MARKER = "process-marker"

GROUP_SCHEMA = f"""
collection = "users/{{uid}}/{COLLECTION}"
[order]
field = "start_time"
[status]
terminal = ["completed", "failed", "cancelled"]
[answer]
status = "status"
start_time = {{ as = "time" }}
end_time = {{ as = "time" }}
last_updated = {{ as = "time" }}
csv_url = {{ in_list = false }}
products_processed = {{ as = "integer" }}
products_failed = {{ as = "integer" }}
uid = "{{uid}}"
[children.products]
from = "products"
"""
"""The default schema, below parents."""


def process_keys(count: int, *, is_group: bool = False) -> list[str]:
    """The processes that come and go."""
    if not is_group:
        return [f"process-{number:03}" for number in range(count)]
    return [f"user-{number % PARENTS}/process-{number // PARENTS:03}" for number in range(count)]


def foreign_keys(count: int) -> list[str]:
    """The foreign documents that come and go: at the top, and too deep."""
    places = (f"/{COLLECTION}", f"/users/user-0/lists/list/{COLLECTION}")
    return [f"{places[number % 2]}/process-{number:03}" for number in range(count)]


def marker(*, is_group: bool = False) -> str:
    """Always there and always among the newest: what recoveries are measured with."""
    return f"user-0/{_MARKER}" if is_group else _MARKER


def is_foreign(key: str) -> bool:
    return key.startswith("/")


def parent_of(key: str) -> str:
    """ "" where there is none."""
    return key.rpartition("/")[0]


def id_of(key: str) -> str:
    return key.rpartition("/")[2]


def beside(key: str, process_id: str) -> str:
    """The process of this ID that has the same parent."""
    return f"{parent_of(key)}/{process_id}" if parent_of(key) else process_id


def key_of(row: Mapping[str, str]) -> str:
    """Of a process as answers show it."""
    return f"{row['uid']}/{row['process_id']}" if "uid" in row else row["process_id"]


def document_path(key: str) -> str:
    """Where Firestore has the document."""
    if is_foreign(key):
        return key[1:]
    return f"users/{parent_of(key)}/{COLLECTION}/{id_of(key)}" if parent_of(key) else f"{COLLECTION}/{key}"


def status_path(key: str, behind: str = "", **parameters: object) -> str:
    """What is asked for to get it; `behind` follows the ID."""
    named = {"uid": parent_of(key), **parameters} if parent_of(key) else parameters
    query = f"?{urlencode(named)}" if named else ""
    return f"/status/{id_of(key)}{behind}{query}"
