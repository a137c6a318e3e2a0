"""How long the tables' intervals are: what reads the stream counts on five minutes."""

from pathlib import Path

import polars as pl

from energydash.errors import FileError
from energydash.files.tables import MARKET_METADATA

_INTERVAL = "5m"


def check(folder: Path) -> None:
    """Refuse tables of other intervals than five minutes; where nobody says how long they are, they are taken for such.

    Raises:
        FileError: they are of others, or what says so cannot be read.
    """
    told = _told(folder)
    if told and _INTERVAL not in told:
        raise FileError(
            f"the tables in {folder} are of {', '.join(sorted(told))}, and only {_INTERVAL} can be streamed, for emissions "
            "would be taken for those of five minutes: run `energydash fetch` without --interval, then `energydash convert`"
        )


def _told(folder: Path) -> set[str]:
    """Give the intervals of the market's series, which were fetched with the stations'."""
    path = folder / f"{MARKET_METADATA}.csv"
    try:
        if path.exists():
            table = pl.read_csv(path, infer_schema=False)
        elif (path := path.with_suffix(".parquet")).exists():
            table = pl.read_parquet(path)
        else:
            return set()
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = str(exc).partition("\n")[0]
        raise FileError(f"{path} cannot be read as a table: {reason}") from exc
    if "interval" not in table.columns:
        return set()
    return {str(each) for each in table["interval"].unique() if each}
