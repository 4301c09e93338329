"""Times in the form of the answers. Pure."""

from datetime import UTC, datetime


def render_time(value: datetime) -> str:
    """RFC 3339 in UTC with `Z`. Fractional digits appear only if they are not zero."""
    text = value.astimezone(UTC).isoformat()[: -len("+00:00")]
    return text.rstrip("0") + "Z" if value.microsecond else text + "Z"
