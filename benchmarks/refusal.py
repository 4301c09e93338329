"""What is said instead of a number that was not measured."""


class NotMeasured(Exception):
    """There is no figure, and this is why."""
