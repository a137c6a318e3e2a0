"""What a week from AEMO's files costs, against a loopback server: `python tests/benchmarks/bench_nemweb.py`.

Every unit of the bundled table reports, and a dispatch report has as many constraints as a real one, which is most of it. The
first fetch finds six days in archives and the seventh in five-minute files, as on an evening; the second has all of them.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nemweb_tree as tree
from nemweb_server import Nemweb
from processes import clean_environment
from standin import serving

from energydash.sources.nemweb.facts import facts

START = tree.at("2026-03-01T00:05")
DAYS = 7
CONSTRAINTS = 900


def whole_market():
    """The tree of a week."""
    units = tuple(facts())
    constraints = [("x" * 20, 1, f"CONSTRAINT_{n:05d}_WITH_A_NAME", n * 1.5, n / 7, 0, 0) for n in range(CONSTRAINTS)]  # fmt: skip
    more = tree.report(("DISPATCH", "CONSTRAINT", 5, ("SETTLEMENTDATE", "RUNNO", "CONSTRAINTID", "RHS", "MARGINALVALUE", "VIOLATIONDEGREE", "LHS"), constraints)).split(b"\r\n")[1:-2]  # fmt: skip
    small = tree.dispatch_report
    tree.REPORTS[tree.SCADA] = lambda label: tree.scada_report(label, units)
    tree.REPORTS[tree.DISPATCH] = lambda label: small(label).replace(b'C,"END', b"\r\n".join(more) + b'\r\nC,"END')  # fmt: skip
    midnight = START - tree.STEP
    files = {tree.LIST: tree.generators(units)}
    for folder in (tree.SCADA, tree.DISPATCH):
        for day in range(DAYS - 1):
            files |= dict([tree.archived(folder, midnight + timedelta(days=day))])
    return files | tree.current(START + timedelta(days=DAYS - 1), 288)


def run(*arguments, cwd):
    """Run a command; give its seconds, peak memory (MB) and standard output."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "energydash", *arguments, "--quiet", "--json"], cwd=cwd, env=clean_environment(), stdout=subprocess.PIPE)  # fmt: skip
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    return time.perf_counter() - started, peak / 2**20, process.communicate()[0]


def main():
    files = whole_market()
    window = ("--start", START.isoformat(), "--end", (START + timedelta(days=DAYS)).isoformat())
    print(f"a week of {len(facts())} units: {len(files)} files, {sum(map(len, files.values())) / 1e6:.1f} MB")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, serving(Nemweb(files)) as web:
        for name, more in (("first fetch", ()), ("again", ("--restart",)), ("at --rate 100", ("--restart", "--rate", "100", "--data-dir", "other"))):  # fmt: skip
            requests, sent = len(web.requests), web.sent
            seconds, peak, said = run("fetch", "--source", "nemweb", "--nemweb-url", web.url, *window, *more, cwd=folder)  # fmt: skip
            points = json.loads(said)["points"]
            print(f"{name:<14} {seconds:5.1f} s, {len(web.requests) - requests} requests, {(web.sent - sent) / 1e6:.1f} MB, {points:,} values, peak {peak:.0f} MB")  # fmt: skip
        seconds, peak, _ = run("convert", cwd=folder)
        print(f"{'convert':<14} {seconds:5.1f} s, peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
