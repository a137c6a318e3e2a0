"""What rows of the tables sum to, for regions, fuels and stations: the formulas of `nem` over columns. Pure.

`Rows` hands in the rows of a table within the question's span, with `ms` for their time.
"""

from collections.abc import Callable, Mapping

import msgspec
import polars as pl

from energydash import nem, schema
from energydash.files import stations, tables
from energydash.files.tracks import (
    Grid,
    Numbers,
    Question,
    Track,
    Tracks,
    plain,
    quotient,
    share,
)

Rows = Callable[[str], pl.LazyFrame]

_PAIR = r'"[^"]+":\s*-?[0-9.eE+-]+'


class _Frames(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that count, summed as far as every question allows.

    `mix` is MW by ms, region and fueltech, `market` is by ms, metric and scope, `own` MW and t by ms and station,
    `burnt` t by ms, region and fueltech, `emitted` t by ms and region, `reporting` the stations with a value.
    """

    mix: pl.DataFrame
    market: pl.DataFrame
    own: pl.DataFrame
    burnt: pl.DataFrame
    emitted: pl.DataFrame
    reporting: pl.DataFrame


def answer(
    question: Question, facilities: tuple[schema.FacilityInfo, ...], rows: Rows
) -> Tracks:
    """Give the answer to a question from the rows in its span."""
    frames = _frames(question, facilities, rows)
    grid = Grid(frames.mix["ms"].append(frames.market["ms"]).to_numpy())
    sums = _Sums(question, facilities, frames, grid)
    scopes = _scopes(question, facilities)
    return Tracks(
        start_ms=grid.start_ms,
        step_ms=grid.step_ms,
        tracks=tuple(sums.track(name) for name in question.names),
        prices=tuple(plain(scope, sums.market(scope, "price")) for scope in scopes),
        renewables=tuple(sums.renewables(scope) for scope in scopes),
    )


def _scopes(question: Question, facilities: tuple[schema.FacilityInfo, ...]) -> tuple[str, ...]:
    """Give the regions (or networks) that a question is about."""
    if question.kind == "region":
        return question.names
    if question.kind == "fuel":
        return (question.scope,)
    regions = {each.code: each.region for each in facilities}
    return tuple(dict.fromkeys(regions[name] for name in question.names if name in regions))


def _frames(
    question: Question, facilities: tuple[schema.FacilityInfo, ...], rows: Rows
) -> _Frames:
    places = pl.LazyFrame(
        [(each.code, each.region, each.fueltech) for each in facilities],
        schema={"facility_code": pl.String, "region": pl.String, "fueltech": pl.String},
        orient="row",
    )
    table = rows(tables.FACILITY_METRICS).join(places, on="facility_code")
    emissions = question.metric in {"emissions", "intensity"}
    by_unit = rows(tables.UNIT_METRICS) if emissions and question.kind == "fuel" else None
    lazy = {
        "mix": _mix(table),
        "market": _market(rows(tables.MARKET_METRICS)),
        "own": table.filter(pl.col("facility_code").is_in(question.names)),
        "burnt": _burnt(by_unit.join(places, on="facility_code")) if by_unit is not None else table.clear(),
        "emitted": _total(table, "emissions", "region") if emissions else table.clear(),
        "reporting": table.filter(pl.col("power").is_not_null()).select(pl.col("facility_code").unique())
        if question.metric == "capacity_factor" else table.clear(),
    }  # fmt: skip
    # In one go, so that the table is read once.
    return _Frames(**dict(zip(lazy, pl.collect_all(list(lazy.values())), strict=True)))


def _mix(table: pl.LazyFrame) -> pl.LazyFrame:
    """Give MW by ms, region and fueltech: a station of several fuels counts by its fuels, any other by its main one."""
    several = pl.col("by_fuel").is_not_null() & (pl.col("by_fuel") != "")
    pair = pl.col("pair")
    parts = (
        table.filter(several)
        .select("ms", "region", pl.col("by_fuel").str.extract_all(_PAIR).alias("pair"))
        .explode("pair")
        .select(
            "ms",
            "region",
            pair.str.extract(r'"([^"]+)"').alias("fueltech"),
            pair.str.extract(r":\s*(.*)$").cast(pl.Float64).alias("power"),
        )
    )
    whole = table.filter(~several).select("ms", "region", "fueltech", "power")
    return _total(pl.concat([whole, parts]), "power", "region", "fueltech")


def _burnt(table: pl.LazyFrame) -> pl.LazyFrame:
    return _total(
        table.with_columns(pl.col("fueltech_id").alias("fueltech")), "emissions", "region", "fueltech"
    )  # fmt: skip


def _market(table: pl.LazyFrame) -> pl.LazyFrame:
    scope = pl.col("network_region")
    return table.select(
        "ms", "metric", "value", pl.when(scope != "").then(scope).otherwise("network_code").alias("scope")
    )  # fmt: skip


def _total(table: pl.LazyFrame, value: str, *keys: str) -> pl.LazyFrame:
    """Sum up what is there: where nothing is, there is no row, and not a zero."""
    there = table.filter(pl.col(value).is_not_null())
    return there.group_by("ms", *keys).agg(pl.col(value).sum())


class _Sums:
    """The columns of a question on its grid."""

    def __init__(
        self,
        question: Question,
        facilities: tuple[schema.FacilityInfo, ...],
        frames: _Frames,
        grid: Grid,
    ) -> None:
        self._question = question
        self._facilities = {each.code: each for each in facilities}
        self._frames = frames
        self._grid = grid

    def track(self, name: str) -> Track:
        """Give the line of a region, a fuel group or a station."""
        match self._question.kind:
            case "region":
                return self._of_region(name)
            case "fuel":
                power, emitted = self._of_fuel(name)
                return self._of_power(name, power, emitted, self._capacity(name))
            case "station":
                info = self._facilities.get(name)
                power, emitted = (self._own(name, what) for what in ("power", "emissions"))
                capacity = (info.capacity if info else None) or 0.0
                return self._of_power(name, power, emitted, capacity)

    def _of_region(self, scope: str) -> Track:
        metric = self._question.metric
        if metric in {"price", "demand"}:
            return plain(scope, self.market(scope, metric))
        if metric == "renewables":
            return self.renewables(scope)
        generation, _ = self._generation(scope)
        emitted = self._summed(self._in(self._frames.emitted, scope), "emissions")
        capacity = sum(
            self._capacity(group.id, scope)
            for group in nem.FUEL_GROUPS
            if not (group.storage or group.load)
        )
        return self._of_power(scope, generation, emitted, capacity)

    def _of_power(self, name: str, power: Numbers, emitted: Numbers, capacity: float) -> Track:
        hours = self._grid.hours
        match self._question.metric:
            case "emissions":
                return plain(name, emitted / hours)
            case "intensity":
                return quotient(name, emitted, power * hours)
            case "capacity_factor":
                return share(name, power, capacity)
        return plain(name, power)

    def renewables(self, scope: str) -> Track:
        """Give a scope's renewable generation by its total, batteries and pumps left out of both."""
        generation, renewable = self._generation(scope)
        return share(scope, renewable, generation)

    def market(self, scope: str, metric: str) -> Numbers:
        """Give a price ($/MWh) or a demand (MW); the network's own where it is a network."""
        known = self._frames.market
        if known.is_empty():
            return self._grid.place(known["ms"].to_numpy(), known["value"].to_numpy())
        rows = known.filter((pl.col("scope") == scope) & (pl.col("metric") == metric))
        return self._place(rows, "value")

    def _generation(self, scope: str) -> tuple[Numbers, Numbers]:
        """Give MW generated, and MW of it renewable; a fuel that is negative on the whole (own use) counts as none."""
        by_fuel = _total(self._in(self._frames.mix, scope).lazy(), "power", "fueltech")
        made = pl.col("power").clip(0.0)
        fuels = by_fuel.collect()["fueltech"].unique().to_list()
        counted = [fuel for fuel in fuels if not nem.fueltech(fuel).storage_or_load]
        renewable = [fuel for fuel in counted if nem.fueltech(fuel).renewable]
        sums = (
            by_fuel.group_by("ms")
            .agg(
                made.filter(pl.col("fueltech").is_in(counted)).sum().alias("made"),
                made.filter(pl.col("fueltech").is_in(renewable)).sum().alias("renewable"),
            )
            .collect()
        )
        return self._place(sums, "made"), self._place(sums, "renewable")

    def _of_fuel(self, group: str) -> tuple[Numbers, Numbers]:
        """Give MW (net) and t of a fuel group in the question's scope."""
        columns = []
        for frame, value in ((self._frames.mix, "power"), (self._frames.burnt, "emissions")):
            rows = self._in(frame, self._question.scope)
            fuels = [f for f in rows["fueltech"].unique() if nem.fueltech(f).group == group]
            rows = rows.filter(pl.col("fueltech").is_in(fuels))
            columns.append(self._summed(rows, value))
        return columns[0], columns[1]

    def _own(self, code: str, value: str) -> Numbers:
        rows = self._frames.own.filter(pl.col("facility_code") == code)
        return self._place(rows.drop_nulls(value), value)

    def _capacity(self, group: str, scope: str | None = None) -> float:
        """Give MW registered of a fuel group, of the stations in a scope that reported in the span."""
        reporting = set(self._frames.reporting["facility_code"])
        regions = self._regions(scope or self._question.scope)
        mixes = (
            _installed(info)
            for code, info in self._facilities.items()
            if code in reporting and info.region in regions
        )
        return sum(mw for mix in mixes for fuel, mw in mix.items() if nem.fueltech(fuel).group == group)  # fmt: skip

    def _in(self, frame: pl.DataFrame, scope: str) -> pl.DataFrame:
        return frame.filter(pl.col("region").is_in(self._regions(scope)))

    def _regions(self, scope: str) -> list[str]:
        return sorted({i.region for i in self._facilities.values() if scope in {i.region, i.network}})  # fmt: skip

    def _summed(self, rows: pl.DataFrame, value: str) -> Numbers:
        return self._place(_total(rows.lazy(), value).collect(), value)

    def _place(self, rows: pl.DataFrame, value: str) -> Numbers:
        return self._grid.place(rows["ms"].to_numpy(), rows[value].cast(pl.Float64).to_numpy())


def _installed(info: schema.FacilityInfo) -> Mapping[str, float]:
    """Give the registered capacity that operates, MW by fueltech; a battery counts once."""
    units = tuple(
        schema.Unit(
            code=unit.code, fueltech_id=unit.fueltech, status_id=unit.status, capacity_registered=unit.capacity
        )
        for unit in info.units
    )  # fmt: skip
    if not units:
        return {info.fueltech: info.capacity or 0.0}
    return stations.capacity_by_fuel(stations.counted(units))
