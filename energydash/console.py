"""What every command does around its work: begin, tell, report, end."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

import msgspec
import typer

from energydash import log, process

DEBUG = "ENERGYDASH_DEBUG"
"""Set where errors show their traceback."""


def begin(command: str, log_level: str, *, debug: bool) -> None:
    """Set up what a command says while it runs."""
    log.set_up(command, level=log_level)
    if debug:
        os.environ[DEBUG] = "1"


def announce(url: str, *, quiet: bool, as_json: bool) -> None:
    """Say where a service listens."""
    if as_json:
        typer.echo(msgspec.json.encode({"url": url}).decode())
    elif not quiet:
        typer.echo(f"{url} (Ctrl-C ends it)", err=True)


def tell(text: str, *, quiet: bool) -> None:
    """Say what a user should read while the work goes on."""
    logging.getLogger(__name__).info("%s", text)
    if not quiet:
        typer.echo(text, err=True)


def report(summary: msgspec.Struct, *, as_json: bool) -> None:
    """Print what a command did: one JSON object, or a line for each fact that there is."""
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    for name, value in msgspec.to_builtins(summary).items():
        if value is None or value in ({}, []):
            continue
        text = f"{value:,}" if type(value) is int else value
        if isinstance(value, dict):
            text = ", ".join(f"{word} ({count})" for word, count in value.items())
        typer.echo(f"{name.replace('_', ' '):<28} {text}")


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the work to its end, or until SIGTERM or Ctrl-C."""
    return asyncio.run(process.until_terminated(coroutine))
