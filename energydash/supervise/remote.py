"""`up --detach`, `status` and `down`: what another process does with a running `up`, and nobody else's process.

A process is signalled only if its pid and the time of its creation are those in the folder's file.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from energydash.errors import EnergydashError
from energydash.plain import plain
from energydash.supervise import claim
from energydash.supervise.claim import Member, Running
from energydash.supervise.control import ask
from energydash.supervise.now import UpNow

DETACHED = "ENERGYDASH_DETACHED"
"""Set for an `up` that nobody watches."""

_READY_WITHIN_S = 180.0
_GONE_WITHIN_S = 15.0
_KILLED_WITHIN_S = 5.0
_POLL_S = 0.2


def detach(arguments: Sequence[str], folder: Path) -> UpNow:
    """Start `energydash` with these arguments in the background and wait until it is ready.

    Raises:
        EnergydashError: it ended, with its own last words, or is not ready in time.
    """
    words = [word for word in arguments if word != "--detach"]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "-m", "energydash", *words, "--no-open", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "ENERGYDASH_DETACH": "false", DETACHED: "1"},
            start_new_session=True,
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise EnergydashError(_last_words(said) or f"it ended with exit code {child.returncode}: see logs/up.log")  # fmt: skip
            if (now := _ready(folder, child.pid)) is not None:
                # It is no longer ours to wait for.
                child.returncode = 0
                return now
            time.sleep(_POLL_S)
    raise EnergydashError(
        f"it is not ready after {_READY_WITHIN_S:.0f} s, and still starting: `energydash status` shows it, `energydash down` ends it"
    )


def _ready(folder: Path, pid: int) -> UpNow | None:
    running = claim.load(folder)
    if running is None or running.up.pid != pid:
        return None
    try:
        now = ask(running, "status")
    except EnergydashError:
        return None
    return now if now.ready else None


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return plain(lines[-1].removeprefix("energydash: ")) if lines else ""


def status(folder: Path) -> UpNow:
    """Give what runs in a folder.

    Raises:
        EnergydashError: nothing does, or it does not answer.
    """
    running = claim.load(folder)
    if running is None or not claim.is_held(folder):
        raise EnergydashError(
            f"nothing runs in {folder}: start it with `energydash up --detach`"
        )
    return ask(running, "status")


def down(folder: Path) -> bool:
    """End what runs in a folder, politely first; say whether anything did.

    Raises:
        EnergydashError: it does not answer and cannot be told from another process, or outlives even being killed.
    """
    running = claim.load(folder)
    if running is None:
        return False
    was_there = _end(running, folder)
    for part in running.parts:
        if (process := found(part)) is not None:
            _kill(process, part.name)
            was_there = True
    if not claim.is_held(folder):
        claim.forget(folder)
    return was_there


def _end(running: Running, folder: Path) -> bool:
    process = found(running.up)
    # Where the clock was set since, no time of creation is what it was: the answer of who holds the folder names it as well.
    if process is None and not claim.is_held(folder):
        return False
    try:
        process = psutil.Process(ask(running, "down").pid)
    except psutil.NoSuchProcess:
        return True
    except EnergydashError:
        if process is None:
            raise
        # It does not listen any more: the system's own way then.
        process.terminate()
    try:
        process.wait(_GONE_WITHIN_S)
    except psutil.TimeoutExpired:
        _kill(process, running.up.name)
    return True


def found(member: Member) -> psutil.Process | None:
    """Give a process if it is the very one that was written down, and still alive."""
    try:
        process = psutil.Process(member.pid)
        same = process.create_time() == member.created
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _kill(process: psutil.Process, name: str) -> None:
    try:
        process.kill()
        process.wait(_KILLED_WITHIN_S)
    except psutil.NoSuchProcess:
        pass
    except psutil.Error as exc:
        raise EnergydashError(f"{name} (pid {process.pid}) cannot be ended: {exc}") from exc
