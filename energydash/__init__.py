"""Australia's power grid, live on one screen and on one wire."""

__version__ = "0.1.0"
