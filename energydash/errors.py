"""The deliberate errors. The command line ends with 2 for a `ConfigError`, which is wrong usage, with 1 for the others."""


class EnergydashError(Exception):
    """The base of every error that a user sees as one line."""

    exit_code = 1


class ConfigError(EnergydashError):
    """A setting is missing or wrong."""

    exit_code = 2


class SourceError(EnergydashError):
    """The data source refused, failed or gave something that makes no sense."""


class AuthError(SourceError):
    """The data source does not accept the API key; `reason` is what it says itself."""

    def __init__(self, text: str, *, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason


class TransientError(SourceError):
    """The data source failed in a way that the next try may not.

    `retry_after_s` is how long it asks to be left alone; `reached` tells whether it answered at all.
    """

    def __init__(
        self, text: str, *, retry_after_s: float | None = None, reached: bool = True
    ) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.reached = reached


class QuotaError(SourceError):
    """The data source answers no more for now: it asks for a wait of `wait_s`, or (None) the day's quota is used up."""

    def __init__(self, text: str, *, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class FileError(EnergydashError):
    """A file is missing, unreadable or malformed."""


class BrokerError(EnergydashError):
    """The MQTT broker is absent, refuses us or went away for good."""


class PortInUseError(EnergydashError):
    """Another program listens on a port that we need."""
