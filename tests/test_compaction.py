"""A folder that is followed for long stays small: many answers become one a day, old days go, and no value changes."""

import hashlib
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import energydash
from standin import StandIn, serving
from test_follow import followed, values_in

from energydash import schema
from energydash.errors import FileError
from energydash.files import compaction, growing, manifest, raw
from energydash.files.compaction import Inventory
from energydash.files.folder import DataFolder, batch_name, write
from energydash.files.growing import Growing
from energydash.nem import NEM_ZONE

NOON = datetime(2026, 3, 10, 12, tzinfo=NEM_ZONE)

# (minutes from noon, unit, value): as many answers as there are lists, in their order.
points = st.tuples(st.integers(-2000, 2000).map(lambda n: n * 5), st.sampled_from("AB"), st.none() | st.integers(0, 9).map(float))  # fmt: skip
answers = st.lists(st.lists(points, min_size=1, max_size=8), min_size=1, max_size=8)


def answer_of(rows):
    series = {}
    for minutes, unit, value in rows:
        series.setdefault(unit, {})[NOON + timedelta(minutes=minutes)] = value
    results = tuple(
        schema.Series(name=unit, columns=schema.Columns(unit_code=unit), data=tuple(sorted(values.items())))
        for unit, values in series.items()
    )  # fmt: skip
    return schema.DataAnswer(data=(schema.Metric(metric="power", unit="MW", results=results),))


def fill(folder, chosen):
    for number, rows in enumerate(chosen, 1):
        name = f"batch_data/{batch_name(number)}"
        answer = answer_of(rows)
        content = schema.encode(answer)
        labels = [p[0] for s in answer.data[0].results for p in s.data]
        write(folder.root / name, content)
        entry = schema.Kept(
            file=name, kind="units", source="x", url="", fetched_at=NOON, sha256=manifest.digest(content), size=len(content),
            start=NOON, facilities=(f"F{number}",), points=len(labels), first=min(labels), last=max(labels),
        )  # fmt: skip
        manifest.append(folder.manifest, entry)


def values(folder):
    return {
        (series.columns.unit_code, moment): value
        for answer in raw.load_units(folder)
        for metric in answer.data
        for series in metric.results
        for moment, value in series.data
    }


def merge(folder, oldest=None):
    entries = manifest.load(folder.manifest)
    inventory = Inventory(folder, entries, NOON)
    number = max(map(raw.batch_number, raw.unit_files(folder)))[0] + 1
    return compaction.merge(folder, entries, inventory, number, oldest, NOON)


@given(chosen=answers)
@settings(max_examples=40, deadline=None)
def test_merging_keeps_the_last_value_of_everything_in_one_file_a_day(tmp_path_factory, chosen):
    folder = DataFolder(tmp_path_factory.mktemp("folder"))
    fill(folder, chosen)
    before = values(folder)

    entries = merge(folder)

    assert values(folder) == before
    days = {moment.date() for _, moment in before}
    assert len(raw.unit_files(folder)) == len(days) == len(entries)
    assert sum(entry.points for entry in entries.values()) == len(before)
    for name, entry in entries.items():
        assert hashlib.sha256((folder.root / name).read_bytes()).hexdigest() == entry.sha256


@given(chosen=answers, survive=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_a_kill_anywhere_in_it_changes_no_value_and_the_next_goes_on(
    tmp_path_factory, chosen, survive
):
    folder = DataFolder(tmp_path_factory.mktemp("folder"))
    fill(folder, chosen)
    before = values(folder)
    unlink, left = compaction._unlink, [survive]

    def killed(path):
        if not left[0]:
            raise FileError("killed")
        left[0] -= 1
        unlink(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "_unlink", killed)
        try:
            merge(folder)
        except FileError:
            assert values(folder) == before

    # What follows finds the manifest as the kill left it.
    again = {
        n: e for n, e in manifest.load(folder.manifest).items() if (folder.root / n).exists()
    }
    manifest.replace(folder.manifest, again.values())
    merge(folder)
    assert values(folder) == before


@given(chosen=answers, keep=st.integers(-3, 3))
@settings(max_examples=40, deadline=None)
def test_only_days_that_are_too_old_go(tmp_path_factory, chosen, keep):
    folder = DataFolder(tmp_path_factory.mktemp("folder"))
    fill(folder, chosen)
    oldest = NOON.toordinal() + keep
    wanted = {k: v for k, v in values(folder).items() if k[1].toordinal() >= oldest}

    entries = merge(folder, oldest)

    assert (values(folder) if raw.unit_files(folder) else {}) == wanted
    assert {folder.root / name for name in entries} == {*raw.unit_files(folder)}


def test_a_day_that_is_done_is_not_touched_again(tmp_path):
    folder = DataFolder(tmp_path)
    fill(folder, [[(0, "A", 1.0)], [(5, "A", 2.0)], [(-1500, "A", 3.0)], [(-1505, "B", 4.0)]])
    manifest.replace(folder.manifest, merge(folder).values())
    before = {path: path.stat().st_mtime_ns for path in raw.unit_files(folder)}

    entries = merge(folder)

    assert len(before) == 2
    assert {path: path.stat().st_mtime_ns for path in raw.unit_files(folder)} == before
    assert entries == manifest.load(folder.manifest)


def grown(folder, days, per_day=5):
    """A folder that a follow grew: so many days up to NOON's, each of so many answers."""
    known = schema.Provenance(
        source="x", simulated=False, start=NOON, end=NOON, fetched_at=NOON
    )
    write(folder.source, schema.encode(known))
    write(folder.market, schema.encode(schema.DataAnswer(data=())))
    fill(folder, [[(5 * n - 1440 * day, "A", 1.0)] for day in reversed(range(days)) for n in range(per_day)])  # fmt: skip
    return Growing(folder)


def add(folder, growing, minutes):
    """Keep one more answer, as a round does."""
    like = next(
        each for each in manifest.load(folder.manifest).values() if each.kind == "units"
    )
    moment = NOON + timedelta(minutes=minutes)
    entry = msgspec.structs.replace(like, first=moment, last=moment, points=1)
    growing.add_units(entry, answer_of([(minutes, "A", 2.0)]))


def test_a_clock_that_is_set_ahead_lets_no_day_go(tmp_path):
    folder = DataFolder(tmp_path)
    growing = grown(folder, days=3)
    before = values(folder)

    assert not growing.tidy(NOON + timedelta(days=400), timedelta(days=7))
    assert values(folder) == before
    assert growing.tidy(NOON + timedelta(days=400), timedelta(days=1))
    assert {moment.date() for _, moment in values(folder)} == {
        (NOON - timedelta(days=1)).date(), NOON.date(),
    }  # fmt: skip


@pytest.mark.parametrize("reopened", [True, False])
def test_an_answer_that_a_full_disk_left_unlisted_is_listed_and_old_days_go_again(
    tmp_path, monkeypatch, reopened
):
    folder = DataFolder(tmp_path)
    growing = grown(folder, days=1)

    def full(*_):
        raise FileError("No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(manifest, "append", full)
        with pytest.raises(FileError):
            add(folder, growing, 60)
    if reopened:
        growing = Growing(folder)
    before = values(folder)
    add(folder, growing, 20 * 1440)

    assert len(raw.unit_files(folder)) == 7
    assert growing.tidy(NOON + timedelta(days=20), timedelta(days=30)) is False
    assert values(folder).items() >= before.items()
    listed = manifest.load(folder.manifest)["batch_data/batch_006_metrics.json"]
    assert (listed.first, listed.points) == (NOON + timedelta(minutes=60), 1)
    assert growing.tidy(NOON + timedelta(days=20), timedelta(days=7))
    assert {moment for _, moment in values(folder)} == {NOON + timedelta(days=20)}


def test_after_a_tidying_that_failed_no_round_writes_over_what_was_merged(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(growing, "MANY_FILES", 10)
    folder = DataFolder(tmp_path)
    one = grown(folder, days=3)
    before = values(folder)
    unlink, left = compaction._unlink, [7]

    def in_use(path):
        if not left[0]:
            raise FileError("in use")
        left[0] -= 1
        unlink(path)

    with monkeypatch.context() as disk:
        disk.setattr(compaction, "_unlink", in_use)
        with pytest.raises(FileError, match="in use"):
            one.tidy(NOON, None)
    add(folder, one, 60)
    assert values(folder).items() > before.items()

    assert one.tidy(NOON + timedelta(hours=2), timedelta(days=1))
    one.settle()
    names = {f"batch_data/{path.name}" for path in raw.unit_files(folder)}
    assert names == {each.file for each in manifest.load(folder.manifest).values() if each.kind == "units"}  # fmt: skip


@pytest.fixture
def api():
    with serving(StandIn(now=datetime(2026, 3, 10, 12, 2), live=True)) as standin:
        yield standin


async def test_a_follow_of_days_stays_within_them_and_converts_to_the_same_tables(
    api, tmp_path, monkeypatch
):
    """Tidied at every tenth file, and cut to today when midnight is an hour past."""
    monkeypatch.setattr(growing, "MANY_FILES", 10)
    api.credits = 100_000
    api.now = datetime(2026, 3, 10, 20, 2)
    await followed(api, tmp_path / "data", timedelta(hours=6), keep_days=0.05)

    folder = DataFolder(tmp_path / "data")
    found = values_in(folder.root)
    moments = {key[2] for key in found}
    assert len(raw.unit_files(folder)) < 15
    oldest = api.now.date()
    assert min(moments).astimezone(NEM_ZONE).date() == oldest
    assert raw.load_provenance(folder).start.date() == oldest
    entries = manifest.load(folder.manifest)
    assert {each.file for each in entries.values() if each.kind == "units"} == {
        f"batch_data/{path.name}" for path in raw.unit_files(folder)
    }

    done = energydash("convert", "--quiet", "--json", cwd=tmp_path)
    first = (tmp_path / "data/csv_output/facility_metrics_wide.csv").read_bytes()
    assert done.returncode == 0, done.stderr
    growing_again = Growing(folder)
    monkeypatch.setattr(growing, "MANY_FILES", 1)
    growing_again.tidy(api.now.replace(tzinfo=NEM_ZONE), None)
    assert energydash("convert", "--quiet", cwd=tmp_path).returncode == 0
    assert (tmp_path / "data/csv_output/facility_metrics_wide.csv").read_bytes() == first
