"""The page in a real browser, on a fresh `up`: what a reader sees, and what must not happen to them."""

import urllib.request
from contextlib import ExitStack

import pytest
from brokers import Server
from browsing import Visit, needs_chromium
from processes import free_port, running, wait_until
from stream_tables import write_all

pytestmark = needs_chromium

DAY = 288


@pytest.fixture
def visit(browser, grid):
    with ExitStack() as closing:

        def open_page(**options):
            one = Visit(browser, grid.url, **options)
            closing.callback(one.close)
            return one

        yield open_page


def test_markers_change_while_zoom_and_selection_stay(visit):
    one = visit()
    page = one.page
    x, y = one.read("grid.marker(20)")
    whole = one.read("grid.ranges('map')")
    page.mouse.move(x, y)
    page.mouse.wheel(0, -240)
    narrower = (
        "(was) => grid.ranges('map')[1] - grid.ranges('map')[0] < 0.9 * (was[1] - was[0])"
    )
    one.wait(narrower, 5, whole)
    page.mouse.click(x, y)
    one.wait("grid.selected('map', 'size').length > 0", 5)
    chosen = one.read("grid.selected('map', 'size')")
    zoomed = one.read("grid.ranges('map')")
    sizes = one.read("grid.column('map', 'size')")
    seen = len(one.frames)

    one.moves(intervals=3)

    assert one.read("grid.column('map', 'size')") != sizes
    assert one.read("grid.ranges('map')") == pytest.approx(zoomed)
    assert one.read("grid.selected('map', 'size')") == chosen
    streamed = "".join(frame for frame in one.frames[seen:] if isinstance(frame, str))
    assert '"ColumnsPatched"' in streamed
    assert '"ColumnsStreamed"' in streamed
    assert '"ColumnDataChanged"' not in streamed
    assert '"attr":"data","new"' not in streamed


def test_a_zoomed_chart_is_not_dragged_along_and_moves_the_other_one(visit):
    one = visit()
    box = one.page.get_by_test_id("stack").bounding_box()
    one.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    one.page.mouse.wheel(0, -300)
    one.wait("grid.ranges('stack')[1] - grid.ranges('stack')[0] < 23 * 3600e3", 5)
    zoomed = one.read("grid.ranges('stack').slice(0, 2)")

    one.moves(intervals=2)

    assert one.read("grid.ranges('stack').slice(0, 2)") == pytest.approx(zoomed)
    assert one.read("grid.ranges('price').slice(0, 2)") == pytest.approx(zoomed)


def test_the_page_asks_no_other_machine_and_complains_of_nothing(visit):
    one = visit()
    one.page.get_by_text("Explore", exact=True).click()
    one.page.get_by_role("button", name="duration curve").wait_for()
    one.page.get_by_role("button", name="duration curve").click()
    one.page.get_by_role("button", name="against renewable share").click()
    one.page.get_by_text("Map", exact=True).click()
    one.page.get_by_test_id("theme").click()
    one.page.get_by_test_id("card-NSW1").click()
    one.moves(intervals=2)

    assert one.foreign == []
    assert one.refused == []
    assert one.complaints == []


def test_a_simulated_grid_says_so_and_opens_with_a_day(visit):
    one = visit()

    assert one.page.get_by_test_id("simulated").is_visible()
    assert one.read("grid.column('stack', 't').length") == DAY
    assert one.read("grid.column('price', 't').length") == DAY
    assert one.read("grid.column('stack', 'demand').filter(Number.isFinite).length") > DAY - 3
    assert one.read("grid.models()") <= 300
    assert "NEM time (UTC+10)" in one.text("freshness")


def test_a_choice_of_one_reader_is_not_seen_by_another(visit):
    first, second = visit(), visit(scheme="dark")
    before = second.read("grid.column('map', 'fill_alpha')")

    first.page.get_by_test_id("card-TAS1").click()
    first.page.get_by_test_id("theme").click()
    first.wait("document.documentElement.dataset.theme === 'dark'", 5)
    first.wait("grid.column('map', 'fill_alpha').filter((a) => a > 0.2).length < 60", 5)
    second.moves(intervals=1)

    pressed = "button[aria-pressed=true]"
    assert "TAS" in first.page.locator(pressed).inner_text()
    assert "NEM" in second.page.locator(pressed).inner_text()
    faint = [a for a in second.read("grid.column('map', 'fill_alpha')") if 0 < a < 0.15]
    assert faint == []
    assert len(before) == len(second.read("grid.column('map', 'fill_alpha')"))


def test_who_comes_late_sees_what_the_first_one_sees(visit):
    first = visit()
    first.moves(intervals=1)
    late = visit()
    names = ("t", "demand", "solar_top")
    # In one look each: the grid moves on between two.
    look = f"[{', '.join(f"grid.column('stack', '{name}')" for name in names)}]"
    known, late_known = (
        {t: values for t, *values in zip(*page.read(look), strict=True)}
        for page in (first, late)
    )
    # The newest one may still be filling up on either page.
    shared = sorted(known.keys() & late_known.keys())[:-2]
    assert len(shared) >= DAY - 6
    for n in range(len(names) - 1):
        assert [known[t][n] for t in shared] == pytest.approx(
            [late_known[t][n] for t in shared]
        )


def test_the_theme_follows_the_system_and_then_the_reader(visit):
    one = visit(scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = one.read(ground)

    one.page.get_by_test_id("theme").click()
    one.wait(f"{ground} !== '{dark}'", 5)
    light = one.read(ground)
    one.page.reload()
    one.wait("document.documentElement.dataset.stage === 'live'", 20)

    assert one.read(ground) == light


def test_a_name_is_text_and_never_markup(browser, tmp_path):
    tables = tmp_path / "data/csv_output"
    tables.mkdir(parents=True)
    write_all(tables, 5)
    evil = "<img src=x onerror='window.taken=1'><b>Alpha</b>"
    names = tables / "facilities.csv"
    names.write_text(names.read_text().replace("Alpha,", f'"{evil}",'))
    backend, port = free_port(), free_port()
    with ExitStack() as stack:
        broker = stack.enter_context(Server("embedded", tmp_path))
        for name, *arguments in (
            ("serve", "--broker", broker.address.url, "--port", str(backend)),
            ("ui", "--backend", f"ws://127.0.0.1:{backend}/ws/realtime", "--port", str(port), "--no-open"),
            ("publish", "--broker", broker.address.url, "--speed", "600", "--loop"),
        ):  # fmt: skip
            folder = tmp_path / name
            folder.mkdir()
            data = () if name != "publish" else ("--data-dir", str(tmp_path / "data"))
            stack.enter_context(running(name, *arguments, *data, cwd=folder))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), 30, "the page answers")
        one = Visit(browser, url)
        one.page.mouse.move(*one.read("grid.marker(4)"))
        one.page.get_by_text("<b>Alpha</b>").wait_for(timeout=10_000)
        assert one.read("window.taken") is None
        assert one.page.locator("img[src=x]").count() == 0
        one.close()


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_a_phone_scrolls_in_one_direction(visit):
    one = visit(width=390, height=844)

    assert one.read("document.documentElement.scrollWidth") <= 390
    assert one.page.get_by_test_id("map").is_visible()
