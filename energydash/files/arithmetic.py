"""Units to facilities: the sums that make a table right. Pure functions over data frames.

A long frame has the columns `timestamp` (text, the source's own label), `facility_code`, `unit_code`,
`fueltech_id`, `metric` and `value`; a wide one has a row for a facility and an interval.
"""

import polars as pl

from energydash import nem, schema

BATTERY_HALVES = (nem.BATTERY_CHARGING, nem.BATTERY_DISCHARGING)


def long_frame(answer: schema.DataAnswer, units: pl.DataFrame) -> pl.DataFrame:
    """Give an answer's points, joined to facility and fuel; points of unknown units are left out."""
    frames = [
        pl.DataFrame(
            {
                "timestamp": [point[0].isoformat() for point in series.data],
                "value": [point[1] for point in series.data],
            },
            schema={"timestamp": pl.String, "value": pl.Float64},
        ).with_columns(unit_code=pl.lit(series.columns.unit_code), metric=pl.lit(metric.metric))
        for metric in answer.data
        for series in metric.results
        if series.data and series.columns.unit_code
    ]
    if not frames:
        return pl.DataFrame(
            schema={
                "timestamp": pl.String, "value": pl.Float64, "unit_code": pl.String,
                "metric": pl.String, "facility_code": pl.String, "fueltech_id": pl.String,
            }
        )  # fmt: skip
    return pl.concat(frames).join(units, on="unit_code", how="inner")


def net_by_fuel(long: pl.DataFrame) -> pl.DataFrame:
    """Give MW (or t) by facility, interval and fuel, each value counted once and signed.

    The last of several values for one unit, metric and time counts. A battery is its signed `battery` units at each
    interval where one has a value, else discharging minus charging; pumps are loads. An interval in which a fuel has no
    value at all stays null.
    """
    once = long.unique(["unit_code", "metric", "timestamp"], keep="last", maintain_order=True)
    keys = ["timestamp", "facility_code", "metric"]
    is_battery = pl.col("fueltech_id").is_in([nem.BATTERY, *BATTERY_HALVES])
    rest = (
        once.filter(~is_battery)
        .with_columns(
            value=pl.when((pl.col("fueltech_id") == nem.PUMPS) & (pl.col("metric") == "power"))
            .then(-pl.col("value").abs())
            .otherwise(pl.col("value"))
        )
        .group_by([*keys, "fueltech_id"])
        .agg(_sum_or_null(pl.col("value")).alias("value"))
    )
    return pl.concat([rest, _net_batteries(once.filter(is_battery), keys)]).sort(
        [*keys, "fueltech_id"]
    )


def _net_batteries(halves: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    def of(fuel: str) -> pl.Expr:
        return _sum_or_null(pl.col("value").filter(pl.col("fueltech_id") == fuel))

    charging = (
        pl.when(pl.col("metric") == "power").then(-pl.col("charge").abs()).otherwise("charge")
    )
    return (
        halves.group_by(keys)
        .agg(
            signed=of(nem.BATTERY),
            discharge=of(nem.BATTERY_DISCHARGING),
            charge=of(nem.BATTERY_CHARGING),
        )
        .with_columns(charging=charging)
        .select(
            *keys,
            fueltech_id=pl.lit(nem.BATTERY),
            value=pl.coalesce(
                "signed",
                pl.when(
                    pl.col("discharge").is_not_null() | pl.col("charging").is_not_null()
                ).then(pl.col("discharge").fill_null(0.0) + pl.col("charging").fill_null(0.0)),
            ),
        )
    )


def _sum_or_null(values: pl.Expr) -> pl.Expr:
    """Sum what is there; nothing there is null, not zero."""
    return pl.when(values.count() > 0).then(values.sum())


def wide_frame(by_fuel: pl.DataFrame, facilities: pl.DataFrame) -> pl.DataFrame:
    """Give power (MW, net) and emissions (t) by facility and interval, sorted by time and code.

    A facility without any value in an interval has no row there. `by_fuel` is JSON where a facility has several
    fuels. Values keep six decimals: the API gives four, and sums of floats must not show their noise.
    """
    value = pl.col("value")
    power = value.filter(pl.col("metric") == "power")
    emissions = value.filter(pl.col("metric") == "emissions")
    rows = (
        by_fuel.group_by("timestamp", "facility_code")
        .agg(
            power=_sum_or_null(power).round(6),
            emissions=_sum_or_null(emissions).round(6),
            fuels=pl.col("fueltech_id").filter(
                (pl.col("metric") == "power") & value.is_not_null()
            ),
            megawatts=power.drop_nulls(),
        )
        .filter(pl.col("power").is_not_null() | pl.col("emissions").is_not_null())
        .join(facilities, on="facility_code", how="left")
        .sort("timestamp", "facility_code")
    )
    return rows.select(
        "timestamp",
        "facility_code",
        "power",
        "emissions",
        "longitude",
        "latitude",
        by_fuel=_fuels_json(rows),
    )


def _fuels_json(rows: pl.DataFrame) -> pl.Series:
    several = rows.select(
        pl.col("several_fuels").fill_null(value=False) & (pl.col("fuels").list.len() > 0)
    ).to_series()
    texts: list[str | None] = [None] * rows.height
    chosen = rows.filter(several).select("fuels", "megawatts")
    for index, (fuels, values) in zip(several.arg_true(), chosen.iter_rows(), strict=True):
        mix = {fuel: round(mw, 6) for fuel, mw in zip(fuels, values, strict=True)}
        texts[index] = schema.encode(mix).decode()
    return pl.Series("by_fuel", texts, dtype=pl.String)


def market_frame(answer: schema.DataAnswer) -> pl.DataFrame:
    """Give the market's values by time, network, metric and region (null: the whole network), nulls kept."""
    rows = [
        (moment.isoformat(), metric.network_code, metric.metric, value, _region(series), metric.unit, metric.interval)
        for metric in answer.data
        for series in metric.results
        for moment, value in series.data
    ]  # fmt: skip
    columns = {
        "timestamp": pl.String, "network_code": pl.String, "metric": pl.String, "value": pl.Float64,
        "network_region": pl.String, "unit": pl.String, "interval": pl.String,
    }  # fmt: skip
    keys = ["timestamp", "network_code", "metric", "network_region"]
    return (
        pl.DataFrame(rows, schema=columns, orient="row")
        .unique(keys, keep="last", maintain_order=True)
        .sort(keys, nulls_last=False)
    )


def _region(series: schema.Series) -> str | None:
    return series.columns.region or series.columns.network_region
