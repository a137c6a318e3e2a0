"""What is shown as CSV (RFC 4180) that says its units, its zone and its filter, and that no spreadsheet runs as a formula. Pure."""

import csv
import io
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from energydash import nem
from energydash.ui.explore.shapes import Lines
from energydash.ui.sheets import remark

# A cell that begins so is a formula to a spreadsheet; an apostrophe before it makes it text (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_DECIMALS = 4


def harmless(text: str) -> str:
    """Give a text that a spreadsheet shows and does not run."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines_csv(lines: Lines, labels: Sequence[str], unit: str, about: Sequence[str]) -> str:
    """Give a row for each time, ISO 8601 with its offset, and a column with its unit for each line; `about` goes first."""
    text = io.StringIO()
    text.write(remark("; ".join(about)) + "\r\n")
    writer = csv.writer(text)
    writer.writerow(["time", *(harmless(f"{label} ({unit})") for label in labels)])
    for i, wall_ms in enumerate(lines.times.tolist()):
        values = (column[i] for column in lines.columns)
        writer.writerow([
            _moment(wall_ms).isoformat(),
            *("" if math.isnan(v) else f"{round(v, _DECIMALS) + 0.0:.{_DECIMALS}f}".rstrip("0").rstrip(".") for v in values),
        ])  # fmt: skip
    return text.getvalue()


def _moment(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).replace(tzinfo=nem.NEM_ZONE)
