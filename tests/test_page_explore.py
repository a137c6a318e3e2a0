"""The explore view in a real browser, and the page behind a log-in and a reverse proxy's path."""

import csv
import re
from collections import Counter
from contextlib import ExitStack

import pytest
from browsing import Visit, lives, needs_chromium
from processes import free_port, running, wait_until
from proxying import proxying
from test_log_in import NAME, PASSWORD, password_file, status

pytestmark = needs_chromium

# A wait costs nothing where the machine is free; beside other work a plot takes seconds.
LIMIT_S = 90
TITLES = ("Over time", "Time of day", "Duration curve", "Daily profile", "Price against renewables")  # fmt: skip
# The figures of the view by what their label begins with, and what they draw.
EXPLORE = """
(() => {
  // Bokeh keeps the models of what was replaced for half a minute: what counts is what stands on the page.
  const figures = () => [...Bokeh.documents[0].all_models].filter(
    (m) => m.type === "Figure" && !m.html_attributes["data-testid"] && Bokeh.index.find_one(m)?.el.isConnected)
  const figure = (title) => figures().find((m) => (m.html_attributes["aria-label"] ?? "").startsWith(title))
  const column = (source, name) => source.data instanceof Map ? source.data.get(name) : source.data[name]
  window.explore = {
    has: (title) => figure(title) != null,
    lines: (title) => figure(title).renderers.length,
    points: (title) => column(figure(title).renderers[0].data_source, "value").length,
    range: (title) => [figure(title).x_range.start, figure(title).x_range.end],
    ground: (title) => figure(title).background_fill_color,
    title: (title) => figure(title).title.text,
    figures: () => figures().length,
    middle: (title) => {
      const box = Bokeh.index.find_one(figure(title)).el.getBoundingClientRect()
      return [box.left + box.width / 2, box.top + box.height / 2]
    },
  }
})()
"""

# An image that cannot be had is told to have failed twice; ten others then fail too, one after the other.
FAILS_TWICE = """
async (url) => {
  const { ImageLoader } = Bokeh.require("core/util/image")
  const loader = (name) => {
    let it
    return new Promise((failed) => { it = new ImageLoader(`${url}/${name}.png`, { failed: () => failed(it) }) })
  }
  const { image } = await loader("twice")
  image.dispatchEvent(new Event("error"))
  for (let n = 0; n < 10; n++) await loader(n)
}
"""


@pytest.fixture(scope="module")
def one(browser, grid):
    visit = Visit(browser, grid.url)
    visit.page.evaluate(EXPLORE)
    whole = visit.settled("grid.ranges('map')")
    visit.page.get_by_test_id("map").hover()
    visit.page.mouse.wheel(0, -240)
    visit.wait(
        "(was) => String(grid.ranges('map')) !== was", LIMIT_S, ",".join(map(str, whole))
    )
    yield visit
    visit.close()


def asked(one, limit_s=LIMIT_S):
    """Wait until the newest question is answered and drawn."""
    one.page.get_by_test_id("explore-fact").wait_for(timeout=limit_s * 1000)


def choose(one, label, choice):
    one.page.get_by_label(label, exact=True).select_option(label=choice)


def test_nothing_of_it_is_there_before_it_is_opened(one):
    assert one.read("grid.models()") <= 300
    assert not one.read("explore.has('Over time')")

    one.page.get_by_text("Explore", exact=True).click()
    asked(one)

    for title in TITLES:
        assert one.read(f"explore.has('{title}')"), title
    assert one.read("explore.lines('Over time')") == 5
    fact = one.text("explore-fact")
    assert "NEM time (UTC+10)" in fact
    assert "simulated grid" in fact
    # The whole width is its own while it is open.
    assert not one.page.get_by_test_id("stack").is_visible()


def test_stations_are_told_by_name_and_the_csv_is_what_is_shown(one):
    one.page.get_by_role("button", name="Stations").click()
    one.wait("explore.title('Time of day').includes('·')", LIMIT_S)
    asked(one)
    choose(one, "Step", "30 minutes")
    one.wait("explore.points('Over time') < 150", LIMIT_S)
    asked(one)
    with one.page.expect_download() as download:
        one.page.get_by_test_id("csv").click()
    lines = download.value.path().read_text().splitlines()
    head, *rows = csv.reader(lines[1:])

    assert lines[0].startswith("# energydash: Power (MW)")
    assert "UTC+10" in lines[0]
    assert head[0] == "time"
    assert all(re.fullmatch(r".+ · \w+ \(MW\)", name) for name in head[1:])
    assert len(rows) == one.read("explore.points('Over time')")
    assert all(row[0].endswith("+10:00") for row in rows)


def test_a_zoom_in_time_moves_all_plots(one):
    one.page.get_by_role("button", name="Regions").click()
    one.wait("!explore.title('Time of day').includes('·')", LIMIT_S)
    asked(one)
    choose(one, "Step", "5 minutes")
    one.wait("explore.points('Over time') > 200", LIMIT_S)
    asked(one)
    whole = one.read("explore.points('Duration curve')")
    one.page.mouse.move(*one.settled("explore.middle('Over time')"))
    one.page.mouse.wheel(0, -600)

    one.wait("(whole) => explore.points('Duration curve') < whole", LIMIT_S, whole)
    one.page.get_by_text(re.compile("^zoomed to")).wait_for(timeout=LIMIT_S * 1000)
    assert one.read("explore.range('Over time')") == one.read("explore.range('Time of day')")


def test_every_metric_is_drawn_and_the_theme_reaches_all(one):
    for metric, unit in (("Price", "$/MWh"), ("Renewable share", "%"), ("Emissions intensity", "t/MWh")):  # fmt: skip
        choose(one, "Metric", metric)
        one.wait("(unit) => explore.title('Time of day').endsWith(unit)", LIMIT_S, unit)
    asked(one)
    grounds = {one.read(f"explore.ground('{title}')") for title in TITLES}
    assert len(grounds) == 1
    one.page.get_by_test_id("theme").click()
    for title in TITLES:
        one.wait("([title, was]) => explore.ground(title) !== was", LIMIT_S, [title, *grounds])

    assert one.complaints == []
    assert one.foreign == []
    assert one.refused == []


def test_coming_and_going_in_haste_breaks_nothing(browser, grid):
    hasty = Visit(browser, grid.url)
    hasty.page.evaluate(EXPLORE)
    explore, away = (hasty.page.get_by_test_id(f"tab-{name}") for name in ("explore", "map"))
    theme = hasty.page.get_by_test_id("theme")
    light = hasty.read("grid.ground('stack')")
    # The first rounds are over before the first plot is drawn; the last one ends on the view, in the other theme.
    for n in range(12):
        explore.click()
        if n % 4 == 0:
            theme.click()
        away.click()
    explore.click()
    hasty.wait("location.search.includes('tab=explore') && document.documentElement.dataset.view === 'explore'", LIMIT_S)  # fmt: skip
    asked(hasty)
    for title in TITLES:
        hasty.wait("(title) => explore.has(title)", LIMIT_S, title)
        hasty.wait("([title, light]) => explore.ground(title) !== light", LIMIT_S, [title, light])  # fmt: skip
    hasty.wait(f"explore.figures() === {len(TITLES)}", LIMIT_S)
    choose(hasty, "Metric", "Demand")
    hasty.wait("explore.title('Over time').includes('demand')", LIMIT_S)

    assert hasty.complaints == []
    hasty.close()


def seen(one):
    """The middle of the map, and from where to where it reaches north; while it is away its frame may be of another width."""
    west, east, south, north = one.read("grid.ranges('map')")
    return (west + east) / 2, south, north


def test_back_on_the_map_all_is_where_it_was_and_moves_on(one):
    zoom = seen(one)
    one.page.get_by_test_id("tab-map").click()
    one.page.get_by_test_id("stack").wait_for()
    one.moves(intervals=1)

    assert one.page.get_by_test_id("map").is_visible()
    assert not one.page.get_by_label("Metric", exact=True).is_visible()
    assert seen(one) == pytest.approx(zoom)
    assert one.complaints == []


def test_behind_a_log_in_and_a_path_the_page_lives_and_says_what_is_missing(browser, grid, tmp_path):  # fmt: skip
    backend = re.search(r"ws://\S+?/ws/realtime", grid.said()).group()
    port, nowhere = free_port(), f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        proxy = stack.enter_context(proxying("/grid", port))
        origin = f"http://127.0.0.1:{proxy.port}"
        arguments = (
            "ui", "--backend", backend, "--port", str(port), "--no-open", "--prefix", "/grid", "--allow-origin", origin,
            "--auth", str(password_file(tmp_path)), "--history", str(tmp_path / "none"),
            "--tiles", nowhere + "/{z}/{x}/{y}.png",
        )  # fmt: skip
        stack.enter_context(running(*arguments, cwd=tmp_path))
        wait_until(lambda: status(f"{origin}/grid/liveness") == 200, LIMIT_S, "the page lives")
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        stack.callback(context.close)
        context.set_default_timeout(LIMIT_S * 1000)
        page, requests, bad = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("response", lambda answer: bad.append(answer.url) if answer.status >= 400 else None)  # fmt: skip
        page.goto(f"{origin}/grid/")
        page.get_by_label("Name").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        lives(page)
        page.wait_for_function(
            "grid.column('map', 'size').length > 100", timeout=LIMIT_S * 1000
        )
        page.get_by_text("Explore", exact=True).click()
        fault = page.get_by_test_id("explore-fault")
        fault.wait_for(timeout=LIMIT_S * 1000)

        assert "energydash convert" in fault.inner_text()
        assert bad == []
        assert proxy.refused == []
        own = tuple(f"{scheme}://127.0.0.1:{proxy.port}/grid/" for scheme in ("http", "ws"))
        # The tiles that were asked for are nobody's; the states are drawn without them.
        elsewhere = [url for url in requests if not url.startswith((*own, "data:", "blob:", nowhere))]  # fmt: skip
        assert elsewhere == []
        assert any(url.startswith(nowhere) for url in requests)
        page.evaluate(FAILS_TWICE, nowhere)
        assert max(Counter(requests).values()) < 10
