"""Every error that reaches HTTP. What each is answered with is the middleware's to say."""


class BadParameter(ValueError):
    """A parameter that can't be used; the message is the client's answer."""


class Unreachable(Exception):
    """Firestore could not be reached, or not in time, or refuses every read of this service."""


class ReadRefused(Exception):
    """Firestore refuses this read, not every one; the text is its reason, for the log alone."""


class BudgetExhausted(Exception):
    """No direct read now. `retry_after_s` is when one may be affordable again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the budget of direct reads is used up")
        self.retry_after_s = retry_after_s


class WatchRefused(Exception):
    """No wait or stream can begin, or go on; the text is the client's answer."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotAdmitted(Exception):
    """A request without a key or token that is known; the text is the client's answer: what to send."""


class WrongToken(Exception):
    """An ID token that is not accepted; the text is the client's answer and holds nothing of the token."""


class ProviderUnreachable(Exception):
    """No ID token can be checked: the provider's keys have not been fetched yet."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the provider of ID tokens cannot be reached")
        self.retry_after_s = retry_after_s
