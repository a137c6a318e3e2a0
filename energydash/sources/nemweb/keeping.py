"""Where raw files are kept as they came: what the source asks of whoever owns the disk."""

from typing import Protocol

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """A file's content, and what to say when asking whether it has changed since."""

    content: bytes
    etag: str = ""
    modified: str = ""


class Shelf(Protocol):
    """Keeps files by folder and name; called from several threads."""

    def names(self, folder: str) -> frozenset[str]:
        """Give the names of what is kept of a folder."""
        ...

    def read(self, folder: str, name: str) -> Answer | None:
        """Give a kept file; None where there is none, or not the one that was kept."""
        ...

    def keep(self, folder: str, name: str, url: str, answer: Answer) -> None:
        """Keep a file that came from `url`."""
        ...


class NoShelf:
    """Keeps nothing: every file is asked for anew."""

    def names(self, folder: str) -> frozenset[str]:  # noqa: ARG002
        """Give none."""
        return frozenset()

    def read(self, folder: str, name: str) -> None:
        """Give nothing."""

    def keep(self, folder: str, name: str, url: str, answer: Answer) -> None:
        """Keep nothing."""
