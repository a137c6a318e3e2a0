"""The files that come with the dashboard: styles, scripts, outlines."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"


@cache
def text(name: str) -> str:
    """Give a bundled file's text."""
    return (FOLDER / name).read_text(encoding="utf-8")
