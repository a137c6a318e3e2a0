"""What every command does around its work: begin, tell, report, complain. What is printed may hold a stranger's names: they are text."""

import logging
import os
from collections.abc import Callable
from typing import Any

import msgspec
import typer

from energydash import log
from energydash.errors import EnergydashError
from energydash.plain import plain, plain_json

DEBUG = "ENERGYDASH_DEBUG"
"""Set where errors show their traceback."""


def begin(command: str, log_level: str, *, debug: bool) -> None:
    """Set up the log."""
    log.set_up(command, level=log_level)
    if debug:
        os.environ[DEBUG] = "1"


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo("\n".join(map(plain, text.split("\n"))), err=err)


def complain(error: EnergydashError) -> None:
    """Say in one line on stderr what went wrong."""
    typer.echo(f"energydash: {plain(str(error))}", err=True)


def announce(url: str, *, quiet: bool, as_json: bool) -> None:
    """Say where a service listens."""
    if as_json:
        _print_json({"url": url})
    elif not quiet:
        say(f"{url} (Ctrl-C ends it)", err=True)


def tell(text: str, *, quiet: bool) -> None:
    """Say what a user should read while the work goes on."""
    logging.getLogger(__name__).info("%s", text)
    if not quiet:
        say(text, err=True)


def report[T: msgspec.Struct](
    summary: T, *, as_json: bool, text: Callable[[T], str] | None = None
) -> None:
    """Print what a command did: one JSON object, or `text` of it, or a line for each fact that there is."""
    if as_json:
        _print_json(summary)
        return
    say(text(summary) if text else "\n".join(_facts(summary)))


def _facts(summary: msgspec.Struct) -> list[str]:
    lines = []
    for name, value in msgspec.to_builtins(summary).items():
        if value is None or value in ({}, []):
            continue
        text = f"{value:,}" if type(value) is int else value
        if isinstance(value, dict):
            text = ", ".join(f"{word} ({count})" for word, count in value.items())
        lines.append(f"{name.replace('_', ' '):<28} {text}")
    return lines


def _print_json(value: Any) -> None:
    typer.echo(plain_json(msgspec.json.encode(value).decode()))
