"""Free text in CSV that a spreadsheet would take for a formula: an apostrophe before it makes it text again, and reading takes it away.

See OWASP, "CSV Injection". Parquet knows types, and needs none.
"""

import polars as pl

_FORMULA = r"('*[=+\-@\t\r\n])"


def guarded(column: str) -> pl.Expr:
    """Give a text column as it is written to CSV."""
    return pl.col(column).str.replace(f"^{_FORMULA}", "'${1}")


def unguarded(column: str) -> pl.Expr:
    """Give a text column of a CSV file as it was before."""
    return pl.col(column).str.replace(f"^'{_FORMULA}", "${1}")
