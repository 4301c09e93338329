"""Firestore's times as whole microseconds since the Unix epoch, which is Firestore's precision. Exact: no floats."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Convert an aware datetime to microseconds."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds_since_epoch: int) -> datetime:
    """The inverse of `microseconds`. Raises: OverflowError outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=microseconds_since_epoch)
