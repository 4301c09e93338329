"""Names in the form that a draft needs, and which of them look like secrets. Pure."""

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET = re.compile(
    r"token|secret|passw|credential|api_?key|deploy_?key|private|signed|signature|authorization|cookie|session|prompt"
    r"|(client|remote|user)_?ip$|^ip$|e_?mail|phone",
    re.IGNORECASE,
)


def looks_secret(path: str) -> bool:
    """Whether a step of a field path sounds like a secret or personal data."""
    return any(_SECRET.search(step) for step in re.split(r"[.\[\]]+", path))


def step(name: str) -> str:
    """The name of a field as a step of a field path."""
    return name if _PLAIN.fullmatch(name) else "`" + re.sub(r"([\\`])", r"\\\1", name) + "`"


def as_key(path: str) -> str:
    """A path as the name of an answer's key."""
    return re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_")


def quoted(text: str) -> str:
    """The text as a basic TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04X}" for char in escaped) + '"'
