"""The questions of the explore view: from tables and from the history received, in every shape, out as CSV."""

import csv
import gc
import io
import weakref
from datetime import datetime, timedelta

import holoviews as hv
import numpy as np
import panel as pn
import pytest
from bokeh.models import Range1d
from bokeh.plotting import figure
from hypothesis import given
from hypothesis import strategies as st
from series import mini_catalogue, write_folder

from energydash import convert as job
from energydash import nem, schema
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files import tables
from energydash.files.archive import Archive
from energydash.files.recent import recent
from energydash.files.tracks import HOUR_MS, INTERVAL_MS, METRICS, Question, Track, Tracks
from energydash.progress import silent
from energydash.server.hub import Hub
from energydash.ui.explore import export, looks, plots, received, shapes
from energydash.ui.store import Store
from energydash.ui.theme import PALETTES

START = datetime(2026, 1, 5, 20, 0, tzinfo=nem.NEM_ZONE)
COUNT = 200
SCOPES = ("NEM", "NSW1", "QLD1")


@pytest.fixture(scope="module", params=["csv", "parquet"])
def folder(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param) / "data"
    write_folder(root, mini_catalogue(), START, COUNT)
    settings = ConvertSettings(
        input_dir=root, output_dir=root / "csv_output", format=request.param
    )
    job.run(settings, silent)
    return root / "csv_output"


@pytest.fixture(scope="module")
def store(folder):
    """What the dashboard would hold of the same tables: the server's sums, an implementation of their own."""
    hub = Hub()
    source = tables.provenance(folder)
    hub.catalogue(
        schema.Catalogue(
            source=source.source, simulated=True, facilities=tables.catalogue(folder)
        )
    )
    for stations, market in recent(folder, START - nem.INTERVAL, START + COUNT * nem.INTERVAL):  # fmt: skip
        hub.facilities(stations)
        hub.market(market)
        hub.tick()
    known = Store()
    known.apply(hub.initial_data())
    known.apply(hub.initial_charts())
    return known


def question(kind, names, metric, *, start=START, end=START + COUNT * nem.INTERVAL, **more):
    return Question(kind=kind, names=tuple(names), metric=metric, start=start, end=end, **more)


def values(track):
    return track.over / track.under


def by_name(tracks):
    return {track.name: values(track) for track in tracks}


@pytest.mark.parametrize("metric", received.metrics("region"))
def test_tables_and_stream_tell_the_same_of_regions(folder, store, metric):
    asked = question("region", SCOPES, metric)
    told, heard = Archive(folder).ask(asked), received.answer(asked, store)

    assert (told.start_ms, told.step_ms, told.length) == (heard.start_ms, INTERVAL_MS, COUNT)
    for part in ("tracks", "prices", "renewables"):
        known, there = by_name(getattr(told, part)), by_name(getattr(heard, part))
        for scope in SCOPES:
            assert known[scope] == pytest.approx(there[scope], abs=0.02, rel=1e-3, nan_ok=True)
    assert np.isfinite(by_name(told.tracks)["NSW1"]).any()


def test_tables_and_stream_tell_the_same_of_fuels(folder, store):
    fuels = [group.id for group in nem.FUEL_GROUPS]
    for scope in SCOPES:
        asked = question("fuel", fuels, "power", scope=scope)
        told, heard = (by_name(a.tracks) for a in (Archive(folder).ask(asked), received.answer(asked, store)))  # fmt: skip
        for fuel in fuels:
            assert told[fuel] == pytest.approx(heard[fuel], abs=0.002, nan_ok=True)


def test_emissions_of_fuels_sum_to_those_of_the_region(folder):
    fuels = [group.id for group in nem.FUEL_GROUPS]
    by_fuel = Archive(folder).ask(question("fuel", fuels, "emissions", scope="NSW1"))
    region = Archive(folder).ask(question("region", ["NSW1"], "emissions"))

    total = np.nansum([track.over for track in by_fuel.tracks], axis=0)
    assert total == pytest.approx(np.nan_to_num(region.tracks[0].over), abs=1e-3)


def test_a_stations_values_are_the_rows_of_its_table(folder):
    told = Archive(folder).ask(question("station", ["COAL", "BATT"], "power"))
    rows = {
        (record.event_time, record.facility_id): record.power
        for stations, _ in recent(folder, START - nem.INTERVAL, START + COUNT * nem.INTERVAL)
        for record in stations
    }  # fmt: skip
    for track in told.tracks:
        expected = [rows.get((START + i * nem.INTERVAL, track.name)) for i in range(COUNT)]
        known = [None if np.isnan(value) else value for value in track.over]
        assert known == pytest.approx(expected)
    # The prices beside it are those of its own region.
    assert [track.name for track in told.prices] == ["NSW1"]


def test_a_capacity_factor_is_power_by_what_is_registered(folder):
    power, factor = (
        Archive(folder).ask(question("station", ["COAL"], metric)).tracks[0]
        for metric in ("power", "capacity_factor")
    )
    capacity = {f.code: f.capacity for f in tables.catalogue(folder)}["COAL"]

    assert values(factor) == pytest.approx(100 * power.over / capacity, nan_ok=True)


def test_a_battery_counts_once_in_the_capacity_of_its_fuel(folder):
    # BATT 300, PAIR 20, TWINS 300, HYBRID 150 MW: each is registered as two or three units.
    power, factor = (
        Archive(folder).ask(question("fuel", ["battery"], metric)).tracks[0]
        for metric in ("power", "capacity_factor")
    )
    there = np.isfinite(factor.under)
    assert set(factor.under[there]) == {770.0}
    assert factor.over[there] == pytest.approx(100 * power.over[there])


def test_only_the_span_that_was_asked_for_is_told(folder):
    first, last = START + 50 * nem.INTERVAL, START + 60 * nem.INTERVAL
    told = Archive(folder).ask(question("region", ["NEM"], "power", start=first, end=last))

    assert told.start_ms == first.timestamp() * 1000
    assert told.length == 11
    nothing = Archive(folder).ask(
        question("region", ["NEM"], "power", start=first - timedelta(days=90), end=first - timedelta(days=80))
    )  # fmt: skip
    assert nothing.length == 0


def test_a_folder_says_what_it_holds(folder):
    contents = Archive(folder).contents()

    assert contents.start == START
    assert contents.end == START + (COUNT - 1) * nem.INTERVAL
    assert contents.simulated
    assert {f.code for f in contents.facilities} >= {"COAL", "BATT"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: None,
        lambda folder: (folder / "facilities.csv").write_text("facility_code\nA\n"),
        lambda folder: _write(folder, "timestamp,facility_code,power\nyesterday,A,1\n"),
        lambda folder: _write(folder, "timestamp,facility_code,power,emissions\n"),
        lambda folder: _write(folder, "nonsense\n"),
    ],
)
def test_a_folder_that_cannot_be_read_says_what_to_do(tmp_path, spoil):
    spoil(tmp_path)
    with pytest.raises(FileError, match="energydash convert"):
        Archive(tmp_path).contents()


def _write(folder, text):
    (folder / "facilities.csv").write_text(
        "facility_code,name,network_id,network_region,fueltech,status,capacity_registered,longitude,latitude\n"
        "A,A,NEM,NSW1,wind,operating,1,150,-33\n"
    )
    (folder / "facility_units.csv").write_text("facility_code,unit_code,fueltech_id,status_id,capacity_registered\n")  # fmt: skip
    (folder / "facility_metrics_wide.csv").write_text(text)


# --- shapes --------------------------------------------------------------------------------------

numbers = st.one_of(st.none(), st.floats(-1000, 20000, width=32))
columns = st.lists(numbers, min_size=1, max_size=700)
starts = st.integers(0, 10**6).map(lambda n: n * INTERVAL_MS)


def tracks_of(column, start_ms=0, step_ms=INTERVAL_MS):
    over = np.array([np.nan if v is None else v for v in column], float)
    under = np.where(np.isnan(over), np.nan, 1.0)
    return Tracks(start_ms=start_ms, step_ms=step_ms, tracks=(Track("A", over, under),))


@given(columns, starts, st.sampled_from([INTERVAL_MS, HOUR_MS // 2, HOUR_MS, 24 * HOUR_MS]))
def test_a_step_is_the_mean_of_what_is_known_in_it(column, start_ms, every_ms):
    tracks = tracks_of(column, start_ms)
    lines = shapes.lines(tracks.tracks, tracks, every_ms)
    expected = {}
    for i, value in enumerate(column):
        step = (shapes.begin(tracks) + i * INTERVAL_MS) // every_ms * every_ms
        expected.setdefault(step, []).extend([] if value is None else [value])

    assert lines.times.tolist() == sorted(expected)
    means = [np.mean(known) if known else np.nan for _, known in sorted(expected.items())]
    assert lines.columns[0] == pytest.approx(np.array(means), nan_ok=True, abs=1e-6)


@given(columns)
def test_a_duration_curve_falls_and_ends_with_the_whole_time(column):
    values = tracks_of(column).tracks[0].over
    shares, reached = shapes.duration(values)
    known = values[~np.isnan(values)]

    assert len(shares) == min(len(known), 400)
    if len(known):
        assert reached[0] == known.max()
        assert reached[-1] == known.min()
        assert shares[-1] == pytest.approx(100)
        assert (np.diff(reached) <= 0).all()
        assert (np.diff(shares) > 0).all()
        for portion, value in zip(shares, reached, strict=True):
            assert (known >= value).mean() * 100 >= portion - 1e-6


@given(columns, starts)
def test_the_heat_map_and_the_daily_profile_are_of_the_same_values(column, start_ms):
    tracks = tracks_of(column, start_ms)
    heat = shapes.heat(tracks.tracks[0], tracks)
    hours, means = shapes.profile(tracks.tracks[0], tracks)

    assert heat.cells.shape == (48, heat.days)
    assert hours.tolist() == [n / 2 for n in range(48)]
    assert (np.isfinite(means) == np.isfinite(heat.cells).any(axis=1)).all()
    for slot in np.flatnonzero(np.isfinite(means)):
        known = heat.cells[slot][np.isfinite(heat.cells[slot])]
        assert known.min() - 1e-6 <= means[slot] <= known.max() + 1e-6


@given(columns, starts, st.integers(-50, 800), st.integers(0, 800))
def test_a_window_holds_the_intervals_that_begin_in_it(column, start_ms, first, length):
    tracks = tracks_of(column, start_ms)
    low = shapes.begin(tracks) + first * INTERVAL_MS
    part = shapes.window(tracks, low - 1, low + length * INTERVAL_MS)
    expected = tracks.tracks[0].over[max(first, 0) : max(first + length, 0)]

    assert part.tracks[0].over == pytest.approx(expected, nan_ok=True)
    if part.length:
        assert shapes.begin(part) >= low


def test_an_hour_of_the_day_is_nem_time():
    # 14:00 UTC is midnight in NEM time.
    midnight = round(datetime(2026, 1, 5, tzinfo=nem.NEM_ZONE).timestamp() * 1000)
    tracks = tracks_of([7.0] + [None] * 20, midnight)
    hours, means = shapes.profile(tracks.tracks[0], tracks)

    assert hours[np.isfinite(means)].tolist() == [0.0]
    assert shapes.heat(tracks.tracks[0], tracks).cells[0, 0] == 7.0


# --- CSV and looks -------------------------------------------------------------------------------


@given(st.text(max_size=20), columns)
def test_a_csv_reads_back_and_holds_no_formula(label, column):
    tracks = tracks_of(column)
    lines = shapes.lines(tracks.tracks, tracks, INTERVAL_MS)
    text = export.lines_csv(lines, [label], "MW", ["about", "in: NEM\r\n=1+1,=2+2"])
    about, _, table = text.partition("\r\n")
    head, *rows = csv.reader(io.StringIO(table, newline=""))

    assert about == "# about; in: NEM =1+1,'=2+2"
    assert head[0] == "time"
    assert f"{label} (MW)" in {head[1], head[1].removeprefix("'")}
    assert not head[1].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert len(rows) == len(column)
    for (moment, cell), value in zip(rows, column, strict=True):
        assert moment.endswith("+10:00")
        assert (float(cell) if cell else None) == pytest.approx(value, abs=1e-4)


def test_lines_of_one_colour_differ_in_their_dash():
    assert looks.dashes(["a", "b", "a", "a"]) == ["solid", "solid", "dashed", "dotted"]


def test_every_metric_says_its_unit_and_of_what_it_is():
    assert all(metric.unit and metric.kinds for metric in METRICS.values())


# --- plots ---------------------------------------------------------------------------------------


def draw(metric, folder):
    """Give every plot's elements."""
    palette = PALETTES["light"]
    tracks = Archive(folder).ask(question("region", SCOPES, metric))
    subject = looks.Subject(
        tracks=tracks, metric=metric, every_ms=HOUR_MS // 2,
        looks=tuple(looks.of_scope(scope, palette) for scope in SCOPES),
        scope_looks=tuple(looks.of_scope(track.name, palette) for track in tracks.prices),
    )  # fmt: skip
    drawing = plots.Plots(palette, Range1d(start=0, end=1), lambda _: None)
    return (
        drawing.over_time(subject), drawing.duration(subject), drawing.profile(subject),
        drawing.heat(subject, 0), drawing.scatter(subject),
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["power", "price"])
def test_every_plot_is_finished_and_tells_true_values_on_a_bent_axis(folder, metric, caplog):
    with caplog.at_level("WARNING"):
        figures = [hv.renderer("bokeh").get_plot(each).state for each in draw(metric, folder)]
    # What goes wrong in a hook, HoloViews only logs.
    assert [record.message for record in caplog.records] == []
    expected = Archive(folder).ask(question("region", SCOPES, metric)).tracks
    for plot in figures:
        assert plot.html_attributes["role"] == "img"
        assert plot.toolbar.logo is None
    for renderer, track in zip(figures[0].renderers, expected, strict=True):
        told = renderer.data_source.data["value"]
        # A price beyond 300 is drawn elsewhere than it is.
        known = np.isfinite(values(track))
        assert np.isfinite(told).any() == known.any()
        if known.any():
            assert told[np.isfinite(told)].mean() == pytest.approx(values(track)[known].mean(), rel=0.2)  # fmt: skip
    assert [renderer.name for renderer in figures[0].renderers] == ["NEM", "NSW", "QLD"]


def test_a_plot_that_another_replaced_leaves_nothing_behind(folder):
    pane = pn.pane.HoloViews(None, linked_axes=False)
    root = pn.Column(pane).get_root()
    gone = []
    for element in (*draw("power", folder), *draw("price", folder)):
        pane.object = element
        gone.append(weakref.ref(root.children[0]))
    gc.collect()

    # The last one is on the page.
    assert [ref() for ref in gone[:-1] if isinstance(ref(), figure)] == []
    assert isinstance(gone[-1](), figure)
