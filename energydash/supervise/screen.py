"""What a user sees of a running `up`: a table that lives on a terminal, plain lines elsewhere, nothing if that is wished; on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from energydash.plain import plain
from energydash.supervise.now import UpNow
from energydash.supervise.view import picture

_HINT = "Ctrl-C stops everything"


class Screen:
    """Says single lines and, on a terminal, shows the parts; without a `live` table, only the lines."""

    def __init__(self, live: Live | None = None, *, quiet: bool = False) -> None:
        self._live = live
        self._quiet = quiet

    @property
    def is_live(self) -> bool:
        """Whether there is a table to keep up to date."""
        return self._live is not None

    def say(self, text: str) -> None:
        """Say a line."""
        if self._quiet:
            return
        line = f"energydash: {plain(text)}"
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def show(self, now: UpNow) -> None:
        """Show how the parts are now; may wait for the terminal."""
        if self._live is not None:
            width = self._live.console.width
            self._live.update(picture(now, width, _HINT), refresh=True)


@contextmanager
def shown(*, quiet: bool) -> Iterator[Screen]:
    """Give a screen for as long as the block runs; the terminal is left as it was."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Screen(quiet=quiet)
        return
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
        yield Screen(live)
