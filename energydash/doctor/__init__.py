"""The examination behind `energydash doctor`: what a run needs, each with what to do where it is not well."""

from pathlib import Path

from energydash.config import Broker, Ports
from energydash.doctor import data, machine, reach
from energydash.doctor.finding import Finding, Report

_SIGNS = {"ok": "OK     ", "warning": "warning", "failed": "FAILED "}


async def examine(
    data_dir: Path, *, broker: Broker | None, ports: Ports, base_url: str, nemweb_url: str
) -> Report:
    """Look at everything; nothing is changed. `broker` None is the one that `up` brings.

    Raises:
        ConfigError: the API's address makes no sense.
    """
    live = data_dir / "live"
    folders = [data_dir, live] if live.exists() else [data_dir]
    findings = (
        machine.python(),
        machine.packages(),
        machine.clock(_newest(folders)),
        machine.zones(),
        machine.open_files(),
        machine.disk(data_dir),
        machine.logs(Path("logs")),
        *machine.secrets(Path(".env")),
        *(data.examine(folder) for folder in folders),
        *reach.ports(ports, live),
        *await reach.all_of(broker, base_url, nemweb_url),
    )
    return Report(all(each.state != "failed" for each in findings), findings)


def _newest(folders: list[Path]) -> float | None:
    times = [path.stat().st_mtime for folder in folders for path in folder.glob("*.json*")]
    return max(times, default=None)


def describe(report: Report) -> str:
    """Give a line for each finding."""
    return "\n".join(map(_line, report.findings))


def _line(finding: Finding) -> str:
    advice = f": {finding.advice}" if finding.advice else ""
    return f"{_SIGNS[finding.state]}  {finding.name}: {finding.text}{advice}"
