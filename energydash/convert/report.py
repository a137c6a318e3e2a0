"""The quality report for people, as Rich tables; `--json` has all of it."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from energydash.convert.job import ConvertSummary
from energydash.errors import FileError

_WORST = 5


def refuse_doubts(summary: ConvertSummary) -> None:
    """Do what `--strict` asks for.

    Raises:
        FileError: there are doubts.
    """
    if summary.quality.doubts:
        raise FileError(f"the tables are written, but: {', '.join(summary.quality.doubts)}")


def report(summary: ConvertSummary) -> str:
    """Give the counts, and the few facilities and units that deserve a look first, as wide as the terminal."""
    quality = summary.quality
    counts = Table(title="What was converted", title_justify="left", show_header=False)
    for name, value in _facts(summary).items():
        counts.add_row(name, escape(value))
    for text in quality.notes:
        counts.add_row("note", text)
    for text in quality.doubts:
        counts.add_row("[bold]doubt[/]", text)
    parts = [counts]
    if quality.missing_intervals:
        parts.append(
            _worst("Missing intervals", quality.missing_intervals, quality.expected_intervals)
        )
    if quality.outside_capacity:
        parts.append(_worst("Values outside capacity", quality.outside_capacity))
    console = Console()
    with console.capture() as capture:
        console.print(*parts, sep="\n", end="")
    return capture.get()


def _facts(summary: ConvertSummary) -> dict[str, str]:
    span = f"{summary.start.isoformat()} to {summary.end.isoformat()}, every {summary.interval}"
    return {
        "tables": f"{summary.output_dir} ({summary.format})",
        "stations": f"{summary.rows:,} rows of {summary.facilities:,} facilities",
        "units": f"{summary.unit_rows:,} rows",
        "market": f"{summary.market_rows:,} rows, {summary.null_market_values:,} without a value",
        "span": span,
        "days": f"{summary.days}, {summary.days_converted} of them converted now",
        "null power, null emissions": f"{summary.null_power:,}, {summary.quality.null_emissions:,}",
        "facilities without location": f"{len(summary.facilities_without_location)}",
    }


def _worst(title: str, counts: dict[str, int], of: int | None = None) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    first = sorted(counts, key=lambda code: (-counts[code], code))[:_WORST]
    for code in first:
        share = f" of {of:,}" if of else ""
        table.add_row(escape(code), f"{counts[code]:,}{share}")
    if len(counts) > _WORST:
        table.add_row("…", f"{len(counts) - _WORST} more")
    return table
