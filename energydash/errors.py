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
    """The data source does not accept the API key."""


class FileError(EnergydashError):
    """A file is missing, unreadable or malformed."""


class BrokerError(EnergydashError):
    """The MQTT broker is absent, refuses us or went away for good."""


class PortInUseError(EnergydashError):
    """Another program listens on a port that we need."""
