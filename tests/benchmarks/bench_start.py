"""How long `--help` takes beside an empty Typer app's: `python tests/benchmarks/bench_start.py`."""

import statistics
import subprocess
import sys
import time

EMPTY = "import typer; app = typer.Typer(); app.command()(lambda: None); app()"
OURS = "import sys; from energydash.cli import main; sys.argv[0] = 'energydash'; main()"
RUNS = 9


def once(code: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, "--help"], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main() -> None:
    # In turn, so that a slow moment of the machine hits both.
    pairs = [(once(EMPTY), once(OURS)) for _ in range(RUNS)]
    empty, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"empty Typer app {empty * 1000:.0f} ms, energydash {ours * 1000:.0f} ms, ratio {ours / empty:.2f}"
    )


if __name__ == "__main__":
    main()
