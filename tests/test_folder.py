import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import series
from hypothesis import given, settings
from hypothesis import strategies as st

from energydash import schema
from energydash.errors import FileError
from energydash.files import manifest, raw
from energydash.files.folder import DataFolder, read, write, write_with
from energydash.files.stage import begin, claimed, find

PROVENANCE = schema.Provenance(
    source="demo", simulated=True,
    start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 3, 2, tzinfo=UTC), fetched_at=datetime(2026, 3, 2, tzinfo=UTC),
)  # fmt: skip
CATALOGUE = b'{"data":[{"code":"A","name":"A"}]}'


def answer(*names):
    return schema.encode(
        schema.DataAnswer(data=tuple(schema.Metric(metric=name, unit="MW") for name in names))
    )


def names_in(answers):
    return [[metric.metric for metric in each.data] for each in answers]


def keep(folder, *answers, provenance=PROVENANCE, market=()):
    stage = staged(folder, *answers, market=market)
    return stage.commit(
        mapping={"A": ["A1"]}, market=series.entry("market_data.json", "market", b""), provenance=provenance
    )  # fmt: skip


def staged(folder, *answers, market=()):
    stage = begin(folder, series.TERMS, series.FETCHED_AT)
    series.keep(stage, "facilities_data.json", "catalogue", CATALOGUE)
    for kind, name, contents in (("market", "market/market_{:03d}.json", market), ("units", "batch_data/batch_{:03d}_metrics.json", answers)):  # fmt: skip
        for n, content in enumerate(contents, start=1):
            series.keep(stage, name.format(n), kind, content)
    return stage


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write(path, b"old and long")
    write(path, b"new")

    assert read(path, "") == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_write_that_breaks_off_leaves_the_old_file_alone(tmp_path, failure):
    path = tmp_path / "file.json"
    write(path, b"old")

    def half(temporary):
        temporary.write_bytes(b"ne")
        raise failure

    with pytest.raises(FileError if failure is OSError else failure):
        write_with(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writes_left_is_cleared_away_once_it_is_old(tmp_path):
    folder = DataFolder(tmp_path)
    keep(folder, answer("power"))
    names = (".market_data.json.0123456789ab.tmp", "batch_data/.batch_002_metrics.json.0123456789ab.tmp")  # fmt: skip
    old, young = (tmp_path / name for name in names), tmp_path / ".up.json.0123456789ab.tmp"
    before = {path for path in tmp_path.rglob("*") if ".fetch" not in path.name}
    for path in old:
        path.write_bytes(b"half")
        os.utime(path, (1, 1))
    young.write_bytes(b"ha")

    with claimed(folder):
        pass

    left = {path for path in tmp_path.rglob("*") if ".fetch" not in path.name}
    assert left - before == {young, tmp_path / "version.json"}
    assert before <= left


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write(path, b"old")
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from energydash.files.folder import write_with\n"
        "def half(temporary):\n"
        "    temporary.write_bytes(b'ne')\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
        "write_with(Path(sys.argv[1]), half)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline().strip() == b"half"
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)

    assert path.read_bytes() == b"old"


def test_a_file_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(FileError, match="is not there: run `energydash fetch` first"):
        raw.load_facilities(DataFolder(tmp_path))


def test_a_folder_that_is_a_file_is_an_error_of_one_line(tmp_path):
    (tmp_path / "data").write_text("")

    with pytest.raises(FileError, match="data"), claimed(DataFolder(tmp_path / "data")):
        pass
    with pytest.raises(FileError):
        write(tmp_path / "data" / "x.json", b"")


def test_a_malformed_file_names_itself_and_the_place(tmp_path):
    folder = DataFolder(tmp_path)
    write(folder.market, b'{"data":[{"metric":1}]}')

    with pytest.raises(FileError, match=r"market_data\.json .*\$\.data\[0\]\.metric"):
        raw.load_market(folder)


def test_what_is_kept_reads_back(tmp_path):
    folder = DataFolder(tmp_path)
    files = keep(folder, answer("power", "emissions"), answer("power"), market=[answer("price"), answer("demand")])  # fmt: skip

    assert all(path.is_file() for path in files)
    assert folder.batch(1).read_bytes() == answer("power", "emissions")
    assert names_in(raw.load_units(folder)) == [["power", "emissions"], ["power"]]
    assert names_in([raw.load_market(folder)]) == [["price", "demand"]]
    joined = schema.decode_data(folder.unit_metrics.read_bytes())
    assert names_in([joined]) == [["power", "emissions", "power"]]
    assert raw.load_facilities(folder).data[0].code == "A"
    assert msgspec.json.decode(folder.mapping.read_bytes()) == {"A": ["A1"]}
    assert raw.load_provenance(folder) == PROVENANCE


def test_a_smaller_fetch_leaves_no_batch_of_a_larger_one(tmp_path):
    folder = DataFolder(tmp_path)
    keep(folder, answer("a"), answer("b"), answer("c"))
    keep(folder, answer("d"))

    assert names_in(raw.load_units(folder)) == [["d"]]
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_fetch_that_breaks_off_keeps_the_one_before_and_what_it_got(tmp_path):
    folder = DataFolder(tmp_path)
    keep(folder, answer("a"), answer("b"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}

    staged(folder, answer("new"))

    left = find(folder)
    visible = [path for path in tmp_path.rglob("*.json") if ".fetch" not in path.parts]
    assert {path: path.read_bytes() for path in visible} == before
    assert left.terms == series.TERMS
    assert left.read("batch_data/batch_001_metrics.json") == answer("new")


def test_an_answer_that_a_kill_or_a_hand_spoilt_does_not_count_as_kept(tmp_path):
    folder = DataFolder(tmp_path)
    staged(folder, answer("a"), answer("b"), answer("c"))
    place = tmp_path / ".fetch/batch_data"
    (place / "batch_001_metrics.json").unlink()
    (place / "batch_002_metrics.json").write_bytes(answer("x"))

    assert find(folder).kept.keys() == {
        "facilities_data.json",
        "batch_data/batch_003_metrics.json",
    }


def test_that_there_is_no_data_is_remembered_and_makes_no_file(tmp_path):
    folder = DataFolder(tmp_path)
    stage = staged(folder, answer("a"))
    series.keep(stage, "batch_data/batch_002_metrics.json", "units", b"")
    series.keep(stage, "batch_data/batch_003_metrics.json", "units", answer("c"))

    stage = find(folder)
    stage.commit(
        mapping={},
        market=series.entry("market_data.json", "market", b""),
        provenance=PROVENANCE,
    )

    assert stage.kept["batch_data/batch_002_metrics.json"].size == 0
    assert [path.name for path in raw.unit_files(folder)] == [
        "batch_001_metrics.json",
        "batch_003_metrics.json",
    ]
    assert names_in(raw.load_units(folder)) == [["a"], ["c"]]


def test_the_manifest_says_the_digest_of_every_file(tmp_path):
    folder = DataFolder(tmp_path)
    keep(folder, answer("a"), answer("b"), market=[answer("price"), answer("demand")])

    entries = manifest.load(folder.manifest)

    assert [entry.kind for entry in entries.values()] == [
        "catalogue",
        "market",
        "units",
        "units",
    ]
    for name, entry in entries.items():
        content = (tmp_path / name).read_bytes()
        assert (manifest.digest(content), len(content)) == (entry.sha256, entry.size)


def test_a_commit_that_was_cut_short_anywhere_is_made_whole_by_the_next(tmp_path, monkeypatch):
    """Cut at each of its writes and renames in turn: the stage still holds everything."""
    wanted = DataFolder(tmp_path / "wanted")
    keep(wanted, answer("a"), answer("b"))
    cuts = 0
    while True:
        folder = DataFolder(tmp_path / str(cuts))
        keep(folder, answer("old"))
        stage = staged(folder, answer("a"), answer("b"))
        if not cut_at(cuts, monkeypatch, stage):
            break
        again = find(folder)
        again.commit(mapping={"A": ["A1"]}, market=series.entry("market_data.json", "market", b""), provenance=PROVENANCE)  # fmt: skip
        assert contents(folder) == contents(wanted)
        cuts += 1
    assert cuts > 8


def cut_at(step, monkeypatch, stage):
    """Commit, but die at the step-th rename; tell whether there was one."""
    left = step

    def dying(call):
        def cut(*args):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return call(*args)

        return cut

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Path, "rename", dying(Path.rename))
        try:
            stage.commit(mapping={"A": ["A1"]}, market=series.entry("market_data.json", "market", b""), provenance=PROVENANCE)  # fmt: skip
        except KeyboardInterrupt:
            return True
    return False


def contents(folder):
    return {
        path.relative_to(folder.root).as_posix(): path.read_bytes()
        for path in folder.root.rglob("*")
        if path.is_file()
    }


def test_two_fetches_do_not_share_a_folder(tmp_path):
    folder = DataFolder(tmp_path)
    with (
        claimed(folder),
        pytest.raises(FileError, match="another fetch is at work"),
        claimed(folder),
    ):
        pass
    with claimed(folder):
        pass


def test_without_batches_the_joined_file_is_read(tmp_path):
    folder = DataFolder(tmp_path)
    write(folder.unit_metrics, answer("power"))

    assert names_in(raw.load_units(folder)) == [["power"]]


def test_a_reader_never_mixes_two_fetches(tmp_path):
    folder = DataFolder(tmp_path)
    keep(folder, answer("old"), answer("old"))
    reader = raw.load_units(folder)
    assert next(reader).data[0].metric == "old"

    keep(folder, answer("new"), answer("new"))

    with pytest.raises(FileError, match="replaced by a new fetch while it was read"):
        next(reader)


def test_simulated_data_is_never_called_real_not_even_half_way(tmp_path):
    """Stopped between the data and its origin, a folder says nothing of its origin."""
    folder = DataFolder(tmp_path)
    keep(folder, answer("made up"))
    folder.mapping.unlink()
    folder.mapping.mkdir()
    (folder.mapping / "in the way").write_text("")
    real = msgspec.structs.replace(PROVENANCE, source="openelectricity", simulated=False)

    with pytest.raises(FileError):
        keep(folder, answer("real"), provenance=real)

    assert raw.load_provenance(folder) is None


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["power", "emissions", "ü,]}"]), max_size=3), max_size=5)
)
def test_joining_keeps_every_metric_in_order(tmp_path_factory, groups):
    folder = DataFolder(tmp_path_factory.mktemp("join"))
    keep(folder, *(answer(*names) for names in groups))

    joined = schema.decode_data(folder.unit_metrics.read_bytes())
    assert names_in([joined]) == [[name for names in groups for name in names]]
