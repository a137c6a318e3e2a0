"""Run the real command as its user does, and look at what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path

import forked
import psutil

from energydash.supervise.ports import is_free


@cache
def _blocks() -> Iterator[range]:
    """Ports, a few in a row at a time, that nobody else is given between this look and their use.

    They lie below those that the system takes for outgoing connections and above those that browsers refuse, of which 10080 is the
    last; each worker of pytest has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 16
    firsts = range(10_100 + worker * 1_400, 11_500 + worker * 1_400, 4)
    start = os.getpid() % len(firsts)
    return cycle(range(first, first + 4) for first in [*firsts[start:], *firsts[:start]])


def free_port(row: int = 1) -> int:
    """A port on which nothing listens; the first of a `row` of up to four."""
    return next(block[0] for block in _blocks() if all(map(is_free, block[:row])))


def wait_until[T](condition: Callable[[], T], limit_s: float, what: str) -> T:
    """Poll until the condition holds; fail with `what` after the limit."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)
    return value


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would steer energydash."""
    kept = {
        k: v
        for k, v in os.environ.items()
        # Hundreds of processes start here: none of them is to compile the package anew.
        if not k.startswith(
            ("ENERGYDASH_", "OPENEL", "OE_", "NEMWEB_", "PYTHONDONTWRITEBYTECODE")
        )
    }
    # No test asks the world: where nobody listens, `auto` is the simulated grid at once.
    return {**kept, "NEMWEB_BASE_URL": "http://127.0.0.1:9", **more}


PLAIN = ("-m", "energydash")
# As busy as the machine may be, AEMO's server is waited for.
PATIENT = (
    "-c",
    "from energydash.sources import choose; choose.is_reachable.__defaults__ = (60.0,); from energydash.__main__ import main; main()",
)


def energydash(
    *arguments: str, cwd: Path, limit_s: float = 120, how: tuple[str, str] = PLAIN, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `energydash ...` in `cwd` to its end."""
    if how is PLAIN and os.name == "posix":
        return forked.energydash(arguments, cwd, clean_environment(**env), limit_s)
    return subprocess.run(
        [sys.executable, *how, *arguments],
        cwd=cwd,
        env=clean_environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


@contextmanager
def running(
    *arguments: str, cwd: Path, how: tuple[str, str] = PLAIN, **env: str
) -> Iterator[subprocess.Popen[str]]:
    """Run `energydash ...` in the background; nothing of it is left afterwards."""
    with (cwd / "stderr.txt").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, *how, *arguments],
            cwd=cwd,
            env=clean_environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            family = descendants(process.pid)
            process.kill()
            process.wait()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def interrupt(process: subprocess.Popen[str], limit_s: float) -> int:
    """Send Ctrl-C and give the exit code."""
    process.send_signal(signal.SIGINT)
    return process.wait(timeout=limit_s)


class Up:
    """A running `up` whose parts can be killed by name."""

    def __init__(
        self, process: subprocess.Popen[str], url: str, stderr: Path | None = None
    ) -> None:
        self.process = process
        self.url = url
        self._stderr = stderr

    def said(self) -> str:
        """What it has told its user."""
        return self._stderr.read_text() if self._stderr else ""

    def part(self, word: str) -> psutil.Process:
        """The process of a part; `up` starts another when it dies."""
        return wait_until(lambda: next(iter(self.parts(word)), None), 30, f"{word} runs")

    def parts(self, word: str) -> list[psutil.Process]:
        """Every process that is this part: one, unless it is being started again."""
        return [each for each in descendants(self.process.pid) if _is(each, word)]


def _is(process: psutil.Process, word: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return word in words or any(f"energydash.stream.{word} import" in each for each in words)
