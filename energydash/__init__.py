"""Australia's power grid, live on one screen and on one wire."""

from importlib.metadata import version

__version__ = version("energydash")
