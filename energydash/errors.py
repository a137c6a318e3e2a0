"""The deliberate errors, each with the exit code the command line ends with.

EnergydashError         1   the base: something the user can act on
  ConfigError           2   a setting is missing or wrong
  SourceError           3   the data source refused, failed or made no sense
    AuthError           3   the source does not accept the key
  FileError             4   a file is missing, unreadable or malformed
  BrokerError           5   the MQTT broker is absent or refuses
  PortInUseError        6   another program listens on a port we need
"""


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
