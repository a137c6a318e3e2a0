"""The market's tables: price, demand and whatever else a market answer holds. Pure but for the file they come from."""

from pathlib import Path

import polars as pl

from energydash.files.answers import Series, read_series
from energydash.files.clock import Clock, labels

_KEYS = ["stamp", "network_code", "metric", "network_region"]


def market_frame(path: Path, content: bytes) -> pl.DataFrame:
    """Give the values by time, network, metric and region (null: the whole network), nulls kept; the last of several counts.

    Besides the table's columns it has `stamp` (microseconds since 1970), `unit` and `interval`.

    Raises:
        FileError: the content is no market answer, or a time has no offset.
    """
    clock = Clock()
    frames = [_series_frame(series) for series in read_series(path, content, clock)]
    return (
        pl.concat([_EMPTY, *frames])
        .unique(_KEYS, keep="last", maintain_order=True)
        .sort(_KEYS, nulls_last=False)
    )


_EMPTY = pl.DataFrame(
    schema={
        "timestamp": pl.String, "network_code": pl.String, "metric": pl.String, "value": pl.Float64,
        "network_region": pl.String, "unit": pl.String, "interval": pl.String, "stamp": pl.Int64,
        "offset_s": pl.Int64,
    }
)  # fmt: skip


def _series_frame(series: Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "timestamp": pl.Series(labels(series.stamps, series.offset_s), dtype=pl.String),
            "value": pl.Series(series.values, nan_to_null=True),
            "stamp": series.stamps,
        }
    ).select(
        "timestamp",
        pl.lit(series.network_code, pl.String).alias("network_code"),
        pl.lit(series.metric, pl.String).alias("metric"),
        "value",
        pl.lit(series.region, pl.String).alias("network_region"),
        pl.lit(series.measure, pl.String).alias("unit"),
        pl.lit(series.interval, pl.String).alias("interval"),
        "stamp",
        pl.lit(series.offset_s, pl.Int64).alias("offset_s"),
    )


def value_table(market: pl.DataFrame) -> pl.DataFrame:
    """Give the columns of `market_metrics_data`."""
    return market.select("timestamp", "network_code", "metric", "value", "network_region")


def metadata_table(market: pl.DataFrame) -> pl.DataFrame:
    """Give what series there are: how many points and nulls, from when to when."""
    keys = ["network_code", "metric", "unit", "network_region", "interval"]
    return (
        market.sort("stamp")
        .group_by(keys, maintain_order=True)
        .agg(
            points=pl.len(),
            nulls=pl.col("value").null_count(),
            start=pl.col("timestamp").first(),
            end=pl.col("timestamp").last(),
        )
        .sort(keys)
    )
