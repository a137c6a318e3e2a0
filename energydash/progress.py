"""How far long work has come: a bar on a terminal, plain lines elsewhere, always on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from energydash.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int | None, str], None]
"""Told (done, total or None, what is being done) by whoever works; cheap enough to call often."""

_LINE_EVERY_S = 5.0


def silent(_done: int, _total: int | None, _text: str) -> None:
    """Show nothing."""


@contextmanager
def shown(label: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show progress for as long as the block runs."""
    if quiet:
        yield silent
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(label, console) as progress:
            yield progress
    else:
        yield _lines(label, console)


@contextmanager
def _bar(label: str, console: "Console") -> Iterator[Progress]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("[bold]{task.fields[label]}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.description}", markup=False),
    )
    with rich_progress.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None, label=label)

        def show(done: int, total: int | None, text: str) -> None:
            bar.update(task, completed=done, total=total, description=plain(text))

        yield show


def _lines(label: str, console: "Console") -> Progress:
    last = 0.0

    def show(done: int, total: int | None, text: str) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last < _LINE_EVERY_S and done != total:
            return
        last = moment
        of = f"/{total}" if total is not None else ""
        console.print(f"{label}: {done}{of} {plain(text)}", markup=False, highlight=False)

    return show
