"""What a user sees of a running `up`: a table that lives on a terminal, plain lines elsewhere, nothing if that is wished; on stderr.

A thread of its own writes: a terminal that its user has stopped, or a pipe that nobody reads, must not stop the supervision.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from io import TextIOBase
from queue import Full, Queue
from threading import Thread
from typing import TextIO, override

from rich.console import Console
from rich.live import Live

from energydash.plain import plain
from energydash.supervise.now import UpNow
from energydash.supervise.view import picture

_HINT = "Ctrl-C stops everything"
# What is said to a terminal that does not move is dropped beyond this: the log has it.
_MOST = 200
_LAST_WORDS_S = 2.0

_Told = Queue[str | UpNow | None]


class Screen:
    """Says single lines and, where it is `live`, shows the parts; neither waits for whoever reads."""

    def __init__(self, told: _Told, *, is_live: bool, quiet: bool = False) -> None:
        self._told = told
        self._quiet = quiet
        self.is_live = is_live

    def say(self, text: str) -> None:
        """Say a line."""
        if not self._quiet:
            _tell(self._told, f"energydash: {plain(text)}")

    def show(self, now: UpNow) -> None:
        """Show how the parts are now."""
        _tell(self._told, now)


class _Lines(TextIOBase):
    """A stderr whose lines, the log's among them, go above the table."""

    def __init__(self, told: _Told) -> None:
        self._told = told
        self._rest = ""

    @override
    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            _tell(self._told, line)
        return len(text)


def _tell(told: _Told, what: str | UpNow) -> None:
    with suppress(Full):
        told.put_nowait(what)


@contextmanager
def shown(*, quiet: bool) -> Iterator[Screen]:
    """Give a screen for as long as the block runs; the terminal is left as it was."""
    stderr = sys.stderr
    is_live = not quiet and Console(file=stderr).is_terminal
    told: _Told = Queue(_MOST)
    writer = Thread(
        target=_live if is_live else _plain, args=(stderr, told), name="screen", daemon=True
    )
    writer.start()
    try:
        with redirect_stderr(_Lines(told)):
            yield Screen(told, is_live=is_live, quiet=quiet)
    finally:
        with suppress(Full):
            told.put(None, timeout=_LAST_WORDS_S)
        writer.join(_LAST_WORDS_S)


def _plain(stderr: TextIO, told: _Told) -> None:
    # Whoever closes the pipe wants to hear no more.
    with suppress(OSError):
        while (what := told.get()) is not None:
            if isinstance(what, str):
                stderr.write(what + "\n")
                stderr.flush()


def _live(stderr: TextIO, told: _Told) -> None:
    console = Console(file=stderr)
    with suppress(OSError), Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:  # fmt: skip
        while (what := told.get()) is not None:
            if isinstance(what, str):
                console.print(what, markup=False, highlight=False, soft_wrap=True)
            else:
                live.update(picture(what, console.width, _HINT), refresh=True)
