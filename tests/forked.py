"""`energydash ...` in a process of its own, forked from one that holds the libraries which every command loads: half of a short one's work."""

import os
import runpy
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

# Libraries alone: what is ours is loaded by each command, under its own environment.
_LIBRARIES = ["asyncio", "httpx", "packaging.requirements", "psutil", "rich.console", "runpy", "typer._adapters", "typer.main"]  # fmt: skip


def energydash(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], limit_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `python -m energydash ...` to its end; raise `TimeoutExpired` as `subprocess.run` does."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = context.Process(target=_command, args=(arguments, cwd, environment, out, err))
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, limit_s)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _command(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[0] = str(cwd)
    sys.argv[1:] = arguments
    runpy.run_module("energydash", run_name="__main__", alter_sys=True)
