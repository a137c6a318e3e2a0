"""`up` on AEMO's files as its user runs it: the real command, a browser, and a file that appears."""

import json
from urllib.request import urlopen

import nemweb_tree as tree
import pytest
from browsing import Visit, needs_chromium
from nemweb_server import Nemweb
from processes import PATIENT, energydash, free_port, running, wait_until
from standin import serving

from energydash import nem

pytestmark = needs_chromium
# A file that nobody expects any more is looked for every 20 s; one that is due, every two.
LIMIT_S = 150
READY_S = 90


@pytest.fixture
def web():
    newest = nem.floor_interval(nem.now()) - tree.STEP
    with serving(Nemweb(tree.tree(newest - 11 * tree.STEP, 12))) as server:
        server.newest = newest
        yield server


def test_a_file_that_appears_moves_the_markers_of_the_page(browser, web, tmp_path):
    port = free_port(row=3)
    server_port = port + 1
    ports = ("--port-base", str(port))
    with running("up", "--no-open", *ports, cwd=tmp_path, how=PATIENT, NEMWEB_BASE_URL=web.url):
        said = tmp_path / "stderr.txt"
        wait_until(
            lambda: f"{port}\n" in said.read_text(), READY_S, "up says where the page is"
        )
        visit = Visit(browser, f"http://127.0.0.1:{port}")
        try:
            assert "the live grid is at" in said.read_text()
            before = visit.read("grid.column('map', 'size')")
            newest = visit.read("Math.max(...grid.column('stack', 't'))")
            for folder in (tree.SCADA, tree.DISPATCH):
                web.publish(tree.published(folder, web.newest + tree.STEP))

            visit.wait("(was) => Math.max(...grid.column('stack', 't')) > was", LIMIT_S, newest)
            visit.wait(
                "(old) => String(grid.column('map', 'size')) !== String(old)", LIMIT_S, before
            )
            assert visit.page.get_by_test_id("simulated").first.is_hidden()
            assert visit.page.get_by_test_id("source").first.inner_text() == "Data: AEMO"
            assert visit.foreign == []
        finally:
            visit.close()
        with urlopen(f"http://127.0.0.1:{server_port}/api/metadata", timeout=30) as answer:
            told = json.load(answer)
        assert (told["source"], told["simulated"]) == ("nemweb", False)


def test_without_a_key_and_without_the_internet_it_is_the_simulated_grid_and_says_so(tmp_path):
    done = energydash("fetch", "--json", "--days", "0.01", cwd=tmp_path)

    assert json.loads(done.stdout)["source"] == "demo"


def test_without_a_key_it_is_aemos_files(web, tmp_path):
    window = ("--start", web.newest.isoformat(), "--end", (web.newest + tree.STEP).isoformat())
    done = energydash(
        "fetch", "--json", *window, cwd=tmp_path, how=PATIENT, NEMWEB_BASE_URL=web.url
    )

    summary = json.loads(done.stdout)
    assert (summary["source"], summary["simulated"], summary["points"]) == ("nemweb", False, 2 * len(tree.UNITS))  # fmt: skip
