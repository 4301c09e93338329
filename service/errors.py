"""Every error that reaches HTTP. The middleware decides the answer to each."""


class BadParameter(ValueError):
    """A parameter that cannot be used. The message goes into the answer."""


class Unreachable(Exception):
    """Firestore could not be reached, did not answer in time, or refuses every read of this service."""


class ReadRefused(Exception):
    """Firestore refuses this read, but not every one. The text is its reason, only for the log."""


class BudgetExhausted(Exception):
    """No direct read is possible now. `retry_after_s`: a read is perhaps possible after this time."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the budget of direct reads is used up")
        self.retry_after_s = retry_after_s


class WatchRefused(Exception):
    """A wait or stream cannot begin or go on. The text goes into the answer."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotAdmitted(Exception):
    """A request without a known key or token. The text goes into the answer: it says what to send."""


class WrongToken(Exception):
    """An ID token that is not accepted. The text goes into the answer, and contains no part of the token."""


class ProviderUnreachable(Exception):
    """No ID token can be checked, because the provider's keys have not been fetched yet."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the provider of ID tokens cannot be reached")
        self.retry_after_s = retry_after_s
