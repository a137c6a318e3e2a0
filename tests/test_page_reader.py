"""What a reader does on the page, in a real browser: choose, open, search, sort, go back in time, take away."""

import csv
import re
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import psutil
import pytest
from browsing import LIMIT_S, Visit, lives, needs_chromium, seriously_wrong
from PIL import Image
from processes import free_port, running, wait_until

from energydash.ui import hues, numbers
from energydash.ui.theme import PALETTES

pytestmark = needs_chromium


@pytest.fixture
def visit(browser, grid):
    opened = []
    log = Path(psutil.Process(grid.process.pid).cwd()) / "logs/ui.log"
    wait_until(lambda: "stations has come" in log.read_text(), 90, "the past of the stations")

    def open_page(query="", **options):
        one = Visit(browser, f"{grid.url}/{query}", **options)
        opened.append(one)
        return one

    yield open_page
    for one in opened:
        one.close()


def query(one):
    # As the page itself has it: Playwright hears of a new address some time later.
    asked = one.read("location.search.slice(1)")
    return {name: values[0] for name, values in parse_qs(asked).items()}


def becomes(one, **parts):
    """Wait until the address says just this."""
    wanted = "&".join(sorted(f"{name}={value}" for name, value in parts.items()))
    one.wait(
        "(wanted) => [...new URLSearchParams(location.search)].map((p) => p.join('=')).sort().join('&') === wanted",
        LIMIT_S,
        wanted,
    )


def counted(one):
    shown, of = one.text("count").split(" of ")
    return int(shown), int(of.split()[0])


def shows(one, stations):
    """Wait until so many circles are not faint."""
    one.wait(
        "(n) => { const [fill, line] = ['fill_alpha', 'line_alpha'].map((c) => grid.column('map', c, 'size'));"
        " return fill.filter((a, i) => Math.max(a, line[i]) > 0.12).length === n }",
        LIMIT_S,
        stations,
    )


def megawatts(text):
    """MW as a number; NaN where the page has none."""
    return (
        float("nan")
        if text == numbers.NONE
        else float(text.split("\u202f")[0].replace(",", "").replace("\u2212", "-"))
    )


def saved(one, click):
    with one.page.expect_download() as waiting:
        click()
    path = waiting.value.path()
    head, *lines = path.read_text().splitlines()
    return waiting.value.suggested_filename, head, list(csv.DictReader(lines))


def test_filters_count_and_everything_on_the_page_agrees(visit):
    one = visit("?at=1970-01-01")
    one.page.get_by_test_id("notice").get_by_text("at").wait_for()
    of = counted(one)[1]
    one.page.get_by_test_id("card-NSW1").click()
    becomes(one, region="NSW1")
    one.page.get_by_role("button", name="Remove the filter NSW").wait_for()
    one.page.get_by_test_id("filters").click()
    wind = one.page.locator("label[data-id=wind]")
    expected = int(wind.locator("b").inner_text())

    wind.locator("input").check()
    one.wait("(n) => grid.text('count').startsWith(n + ' of')", LIMIT_S, str(expected))
    becomes(one, region="NSW1", fuels="wind")
    one.page.keyboard.press("Escape")
    # Stop the clock, so that all that is read belongs to one interval, at one that is over.
    for _ in range(4):
        one.page.get_by_test_id("back").click()
    one.wait("document.documentElement.dataset.past === 'yes'", LIMIT_S)
    one.page.get_by_test_id("tab-table").click()
    one.page.locator("tbody tr[data-code]").first.wait_for()

    def agreed():
        _, head, rows = saved(one, one.page.get_by_test_id("csv").click)
        clock = one.text("moment").split(" NEM")[0][-5:]
        total = sum(float(row["power_mw"]) for row in rows if row["time"][11:16] == clock)
        chart = one.read(
            "(() => { const at = grid.moment('stack'); const t = grid.column('stack', 't');"
            " return grid.column('stack', 'wind_top')[t.indexOf(at)] })()"
        )
        agree = megawatts(one.text("total")) == pytest.approx(max(total, 0), abs=1)
        return (head, rows) if agree and chart == pytest.approx(total, abs=1) else None

    # What the stream passed over while the grid began comes a little later.
    head, rows = wait_until(agreed, LIMIT_S, "numbers, chart and file agree")

    assert counted(one) == (expected, of)
    assert len(rows) == expected
    assert int(one.page.get_by_role("grid").get_attribute("aria-rowcount")) == expected + 1
    assert "fuels=wind" in head
    assert one.read("grid.column('stack', 'coal_black_top').every((v) => !(v > 0))")
    one.page.get_by_test_id("tab-map").click()
    one.page.wait_for_function("grid.view('map')")
    shows(one, expected)

    one.page.get_by_test_id("clear").click()
    one.wait("(n) => grid.text('count').startsWith(n + ' of')", LIMIT_S, str(of))
    shows(one, of)


def test_a_fuel_of_the_legend_is_hidden_by_a_click_and_alone_by_a_shift_click(visit):
    one = visit()
    coal = one.page.get_by_test_id("fuel-coal_black").get_by_role("button")
    before = megawatts(one.text("total"))
    coal.click()
    one.wait("grid.column('stack', 'coal_black_top').every((v, i) => v === grid.column('stack', 'coal_brown_top')[i] || !(v > 0))", LIMIT_S)  # fmt: skip
    assert coal.get_attribute("aria-pressed") == "false"
    one.wait(
        "(was) => parseFloat(grid.text('total').replace(',', '')) < was - 100", LIMIT_S, before
    )

    coal.click(modifiers=["Shift"])
    becomes(one, fuels="coal_black")
    coal.click(modifiers=["Shift"])
    becomes(one)


def test_colours_for_every_eye_are_everywhere_and_are_remembered(visit):
    one = visit()
    swatch = "getComputedStyle(grid.deep('fuel-wind').querySelector('i')).backgroundImage"
    wind = f"rgb({', '.join(str(int(hues.DISTINCT['light']['wind'][i : i + 2], 16)) for i in (1, 3, 5))})"
    assert "gradient" not in one.read(swatch)
    one.page.get_by_test_id("colours").click()
    becomes(one, colours="distinct")
    distinct = set(hues.DISTINCT["light"].values())
    one.wait("(known) => grid.column('map', 'color').every((c) => known.includes(c))", LIMIT_S, list(distinct))  # fmt: skip
    assert "gradient" in one.read(swatch)
    assert one.read("grid.hatches('stack')").count("vertical_line") == 1

    one.page.goto(f"{one.url.split('?')[0]}?tab=table&fuels=wind")
    row = one.page.locator("tbody tr[data-code]").first
    row.wait_for()
    assert row.locator("i").evaluate("(e) => getComputedStyle(e).backgroundColor") == wind


def test_the_day_so_far_is_that_of_the_chart_and_a_station_that_moved_opens(visit):
    one = visit("?region=NSW1")
    # Stop the clock, so that all that is read belongs to one interval.
    one.page.get_by_test_id("back").click()
    one.wait("document.documentElement.dataset.past === 'yes'", LIMIT_S)
    high = one.read(
        "(() => { const at = grid.moment('stack'), day = Math.floor(at / 864e5) * 864e5;"
        " const t = grid.column('stack', 't');"
        " const [mw, i] = grid.column('stack', 'demand').map((mw, i) => [mw, i])"
        ".filter(([mw, i]) => t[i] >= day && t[i] <= at && Number.isFinite(mw)).reduce((a, b) => b[0] > a[0] ? b : a);"
        " return [mw, new Date(t[i]).toISOString().slice(11, 16)] })()"
    )
    assert megawatts(one.text("demand-high")) == pytest.approx(high[0], abs=0.6)
    assert one.text("demand-high-at") == high[1]

    # In the whole network there is always one; in a region, at times, none.
    one.page.get_by_test_id("card-NEM").click()
    one.wait("grid.pressed('card-NEM') === 'true'", LIMIT_S)
    # What moved half an hour before may still be coming in: which line a click meets, only the page itself can say.
    one.read(
        "document.addEventListener('click', (e) => { const met = e.composedPath().find((n) => n.matches?.('.moves button'));"
        " if (met) window.met = met.querySelector('.name').textContent }, true)"
    )
    one.page.get_by_test_id("moves").get_by_role("button").first.click()
    one.page.get_by_test_id("detail").wait_for()
    assert one.text("detail-name") == one.read("met")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_an_alert_is_called_out_once_and_leads_to_its_place_and_time(browser, grid, tmp_path):
    backend = re.search(r"ws://\S+/ws/realtime", grid.said()).group()
    url = f"http://127.0.0.1:{free_port()}"
    port = url.rpartition(":")[2]
    with running("ui", "--backend", backend, "--port", port, "--no-open", "--alerts", "trip=1,stale", cwd=tmp_path):  # fmt: skip
        wait_until(lambda: answers(f"{url}/readiness"), 90, "the page has a grid")
        one = Visit(browser, url)
        toasts = one.page.get_by_test_id("toasts")
        assert toasts.get_attribute("aria-live") == "polite"
        one.read("window.seen = []")
        one.read(
            "new MutationObserver((all) => all.forEach((m) => m.addedNodes.forEach((n) => seen.push(n.firstChild.textContent))))"
            ".observe(grid.deep('toasts'), { childList: true })"
        )
        show = toasts.get_by_role("button", name="Show").first
        # At this limit each interval brings new ones: which one a click meets, only the page itself can say.
        one.read(
            "document.addEventListener('click', (e) => { const met = e.composedPath().find((n) => n.matches?.('.toast, .line'));"
            " if (met) window.met = [...met.children].map((e) => e.textContent).join(' ') }, true)"
        )
        show.wait_for(timeout=60_000)
        show.click()
        one.page.get_by_test_id("detail").wait_for()
        clock, name = re.search(r"(\d\d:\d\d) (.+) fell within", one.read("met")).groups()
        assert one.text("detail-name") == name
        one.wait("(clock) => new URLSearchParams(location.search).get('at')?.endsWith(clock)", LIMIT_S, clock)  # fmt: skip

        one.page.keyboard.press("Escape")
        one.page.get_by_test_id("detail").wait_for(state="hidden")
        one.page.get_by_test_id("alerts").click()
        # Here there are some on any day.
        assert seriously_wrong(one.page) == []
        # Not by the mouse, which would close the list, and at times meets a toast.
        one.read("grid.deep('theme').click()")
        one.wait("document.documentElement.dataset.theme === 'dark'", LIMIT_S)
        assert seriously_wrong(one.page) == []
        # In one go: the line may make room for another between a button's going down and up.
        one.read("[...grid.deep('alert-list').querySelectorAll('button')].at(-1).click()")
        one.page.get_by_test_id("detail").wait_for()
        clock, name = re.search(r"(\d\d:\d\d) (.+) fell within", one.read("met")).groups()
        assert one.text("detail-name") == name
        one.wait("(clock) => new URLSearchParams(location.search).get('at')?.endsWith(clock)", LIMIT_S, clock)  # fmt: skip
        one.moves(intervals=3)
        seen = one.read("seen")
        assert len(seen) == len(set(seen)) > 4
        # However many come, the page is not covered by them.
        assert one.read("grid.deep('toasts').children.length") <= 4

        # Nothing is there when there is nothing to say; the next interval brings more.
        one.page.get_by_test_id("alerts").wait_for()
        left = one.read(
            "(() => { [...Bokeh.documents[0].all_models].find((m) => m.data?.now?.alerts).data.now = { alerts: [] };"
            " return grid.deep('alerts').checkVisibility() })()"
        )
        assert left is False
        one.close()


def test_a_chart_leaves_the_page_on_a_light_ground_and_the_tab_shows_the_mix(visit, tmp_path):
    # There, coal is burnt at any hour of any day.
    one = visit("?theme=dark&region=QLD1", scheme="dark")
    one.wait(
        "document.querySelector('link[rel~=icon]').href.startsWith('data:image/svg+xml')",
        LIMIT_S,
    )
    sign = one.read("decodeURIComponent(document.querySelector('link[rel~=icon]').href)")
    assert hues.USUAL["dark"]["coal_black"] in sign
    ground = PALETTES["dark"].panel
    for figure in ("stack", "price"):
        with one.page.expect_download() as waiting:
            one.page.get_by_test_id(f"{figure}-png").click()
        name = waiting.value.suggested_filename
        assert re.fullmatch(r"energydash-(generation|price)-QLD1-\d{8}T\d{4}\.png", name)
        waiting.value.save_as(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
            corner = picture.convert("RGB").getpixel((2, picture.height // 2))
        assert corner == (255, 255, 255)
        assert tuple(bytes.fromhex(ground[1:])) not in colours
        one.wait(f"grid.ground('{figure}') === '{ground}'", LIMIT_S)
    one.page.emulate_media(media="print")
    one.page.get_by_test_id("slider").wait_for(state="hidden")
    assert one.read("document.documentElement.scrollWidth") <= 1440
    assert one.complaints == []


def test_one_click_on_the_map_opens_one_station_and_lists_those_beneath(visit):
    # What is registered stays as it is: no circle shrinks between the look and the click.
    one = visit("?metric=capacity")
    page = one.page
    page.mouse.click(*one.settled("grid.crowd()"))
    page.get_by_test_id("detail").wait_for()
    one.wait("location.search.includes('facility=')", LIMIT_S)
    assert len(one.read("grid.selected('map', 'size')")) == 1
    code = query(one)["facility"]
    others = page.get_by_test_id("detail").locator(".others")
    assert "more here" in others.inner_text()

    others.get_by_role("button").first.click()
    one.wait("(was) => !location.search.includes(was)", LIMIT_S, code)
    assert len(one.read("grid.selected('map', 'size')")) == 1
    # It streams on, and the pane with it.
    when = one.text("detail-when")
    one.wait("(was) => grid.text('detail-when') !== was", LIMIT_S, when)
    page.keyboard.press("Escape")
    page.get_by_test_id("detail").wait_for(state="hidden")
    assert one.read("grid.selected('map', 'size')") == []


@pytest.mark.parametrize("width", [390, 900])
def test_on_a_narrow_screen_a_finger_meets_what_closes_the_open_station(visit, width):
    one = visit(width=width, height=844)
    code = one.read("grid.column('map', 'code', 'size')[0]")
    one.page.goto(f"{one.url}?facility={code}")
    lives(one.page)
    one.page.get_by_test_id("close").wait_for()

    one.wait("grid.reachable('close')", LIMIT_S)
    one.page.get_by_test_id("close").click()
    one.page.get_by_test_id("detail").wait_for(state="hidden")


def test_a_station_found_by_keyboard_tells_all_and_gives_the_focus_back(visit):
    one = visit()
    page = one.page
    page.keyboard.press("/")
    page.keyboard.type("bay")
    becomes(one, q="bay")
    page.get_by_role("option", name="Bayswater").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_test_id("detail").wait_for()

    assert one.text("detail-name") == "Bayswater"
    for fact, text in {
        "code": "BAYSW",
        "region": "New South Wales",
        "fuel": "Black coal",
        "status": "operating",
        "capacity": "2,640",
        "emissions": "t",
        "intensity": "t/MWh",
    }.items():
        assert text in one.text(f"detail-{fact}")
    # In one look: the grid moves on between two.
    looks = one.read("['power', 'capacity', 'factor'].map((n) => grid.text(`detail-${n}`))")
    power, capacity, used = map(megawatts, looks)
    assert used == pytest.approx(100 * power / capacity, abs=0.1)
    assert page.get_by_role("cell", name="BW04").is_visible()
    assert "24 hours" in page.get_by_test_id("detail-day").get_attribute("aria-label")
    assert "facility=BAYSW" in page.get_by_test_id("link").get_attribute("href")

    def day():
        # What had not come when the past was first asked for comes with the next question.
        name, _, rows = saved(one, page.get_by_test_id("detail-csv").click)
        assert "BAYSW" in name
        return rows if sum(bool(row["power_mw"]) for row in rows) > 250 else None

    rows = wait_until(day, LIMIT_S, "the station's day")
    assert len(rows) > 280
    assert all(row["time"].endswith("+10:00") for row in rows)

    page.keyboard.press("ArrowRight")
    one.wait("grid.text('detail-name') !== 'Bayswater'", LIMIT_S)
    page.keyboard.press("ArrowLeft")
    one.wait("grid.text('detail-name') === 'Bayswater'", LIMIT_S)
    page.keyboard.press("Escape")
    page.get_by_test_id("detail").wait_for(state="hidden")
    assert one.read("grid.focused()") == "search"
    page.get_by_test_id("search").blur()
    page.keyboard.press("?")
    page.get_by_test_id("help-text").get_by_text("Renewable, %").wait_for()
    page.keyboard.press("Escape")
    page.get_by_test_id("help-text").wait_for(state="hidden")


def test_the_address_brings_all_back_and_back_goes_back(visit):
    one = visit()
    page = one.page
    page.get_by_test_id("card-SA1").click()
    becomes(one, region="SA1")
    page.get_by_test_id("metric").select_option("emissions")
    becomes(one, region="SA1", metric="emissions")
    page.get_by_test_id("tab-table").click()
    becomes(one, region="SA1", metric="emissions", tab="table")
    page.locator("tbody tr[data-code]").nth(2).click()
    page.get_by_test_id("detail").wait_for()
    one.wait("location.search.includes('facility=')", LIMIT_S)
    chosen = query(one)["facility"]
    page.get_by_test_id("back").click()
    one.wait("location.search.includes('at=')", LIMIT_S)
    shown = one.text("moment")

    other = visit(one.read("location.search"), scheme="dark")
    assert query(other) == query(one)
    assert other.text("detail-name") == one.text("detail-name")
    assert other.text("moment").split(",")[0] == shown.split(",")[0]
    other.wait("grid.pressed('card-SA1') === 'true'", LIMIT_S)
    assert other.page.get_by_test_id("tab-table").get_attribute("aria-selected") == "true"

    page.go_back()
    page.get_by_test_id("detail").wait_for(state="hidden")
    page.go_back()
    page.get_by_test_id("metric").wait_for()
    assert page.get_by_test_id("tab-map").get_attribute("aria-selected") == "true"
    page.go_back()
    page.go_back()
    becomes(one)
    one.wait("grid.pressed('card-NEM') === 'true'", LIMIT_S)
    page.go_forward()
    one.wait("grid.pressed('card-SA1') === 'true'", LIMIT_S)
    assert chosen


def test_in_the_past_map_numbers_and_charts_show_the_same_instant(visit):
    one = visit()
    page = one.page
    slider = page.get_by_test_id("slider")
    start, end = int(slider.get_attribute("min")), int(slider.get_attribute("max"))
    middle = start + (end - start) // 600 * 300
    slider.fill(str(middle))
    one.wait("(at) => new URLSearchParams(location.search).has('at') && grid.value('slider') === String(at)", LIMIT_S, middle)  # fmt: skip
    shown = one.text("moment").split(" NEM")[0][-5:]
    column = (
        "grid.column('stack', '{}')[grid.column('stack', 't').indexOf(grid.moment('stack'))]"
    )
    one.wait("(clock) => grid.text('fuels-title').endsWith(clock)", LIMIT_S, shown)

    look = f"[{column.format('demand')}, {column.format('generation')}, grid.moment('stack'), grid.moment('price')]"
    demand, generation, at, price_at = one.read(look)
    assert at == price_at == (middle + 36_000) * 1000
    nem = page.get_by_test_id("card-NEM")
    assert megawatts(nem.get_by_test_id("demand").inner_text()) == pytest.approx(demand, abs=1)
    assert megawatts(one.text("total")) == pytest.approx(generation, abs=1)
    assert shown in page.get_by_test_id("map").get_attribute("aria-label")
    _, head, rows = saved(one, page.get_by_test_id("csv").click)
    times = [row["time"] for row in rows if row["power_mw"]]
    assert max(times)[11:16] == shown
    assert times.count(max(times)) > 150
    assert f"T{shown}:00+10:00" in head

    # The stream goes on behind it, and the page stays where it is.
    one.moves(intervals=2)
    assert shown in one.text("moment")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    one.wait("(was) => !grid.text('moment').includes(was)", LIMIT_S, shown)
    page.get_by_test_id("on").click()
    one.wait("(was) => grid.text('moment').includes(was)", LIMIT_S, shown)
    page.get_by_test_id("play").click()
    one.wait("(was) => !grid.text('moment').includes(was)", LIMIT_S, shown)
    page.get_by_test_id("play").click()
    assert page.get_by_test_id("play").get_attribute("aria-pressed") == "false"
    page.get_by_test_id("live").click()
    one.wait("document.documentElement.dataset.past === ''", LIMIT_S)
    becomes(one)


def test_the_table_is_patched_and_keeps_order_scroll_and_focus(visit):
    one = visit("?tab=table")
    page = one.page
    rows = page.locator("tbody tr[data-code]")
    rows.first.wait_for()
    page.get_by_test_id("sort-name").click()
    names = [each.split("\n")[0] for each in rows.all_inner_texts()]
    assert names == sorted(names, key=str.casefold)
    assert rows.count() < 60
    page.get_by_test_id("sort-power").click()
    # The order rests while the mouse is over the table, and follows the values once nobody is in it.
    page.mouse.move(0, 0)

    def falls():
        # In one look: the values move on between two.
        texts = page.locator("tbody tr[data-code] td:nth-child(5)").all_inner_texts()
        try:
            power = [megawatts(text) for text in texts[:12]]
        except ValueError:
            # One that is late says so.
            return False
        return len(power) == 12 and power == sorted(power, reverse=True)

    wait_until(falls, LIMIT_S, "the stations stand by what they make")

    rows.first.focus()
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    lines = "[...grid.deep('table').querySelectorAll('tbody tr[data-code]')]"
    place = (
        f"[grid.focusedRow(), grid.deep('table').scrollTop, {lines}.map((r) => r.dataset.code)]"
    )
    texts = f"{lines}.map((r) => r.innerText).join('|')"
    before, was = one.read(f"[{place}, {texts}]")
    focused, scrolled, _ = before
    assert scrolled > 500
    one.wait(f"(was) => {texts} !== was", LIMIT_S, was)

    assert one.read(place) == before
    page.keyboard.press("Enter")
    page.get_by_test_id("detail").wait_for()
    one.wait("(code) => new URLSearchParams(location.search).get('facility') === code", LIMIT_S, focused)  # fmt: skip
    # Nor while one reads about a station that was opened from here.
    for _ in range(3):
        one.wait(f"(was) => {texts} !== was", LIMIT_S, one.read(texts))
    assert one.read(place)[1:] == before[1:]
    page.keyboard.press("Escape")
    one.wait("(code) => grid.focusedRow() === code", LIMIT_S, focused)

    page.get_by_test_id("search").fill("no such station")
    page.get_by_test_id("none-clear").click()
    one.wait("grid.text('count').split(' ')[0] === grid.text('count').split(' ')[2]", LIMIT_S)


def test_the_day_as_a_file_is_what_the_chart_shows(visit):
    one = visit("?region=VIC1")
    _, head, rows = saved(one, one.page.get_by_test_id("series-csv").click)

    assert "filter: region=VIC1" in head
    assert len(rows) == one.read("grid.column('stack', 't').length")
    assert {"coal_brown_mw", "demand_mw", "price_aud_per_mwh"} <= rows[0].keys()
    assert all(row["time"].endswith("+10:00") for row in rows)
    # The chart's own milliseconds are those of NEM time.
    t, top = one.read("['t', 'coal_brown_top'].map((name) => grid.column('stack', name))")
    written = datetime.fromisoformat(rows[100]["time"]).replace(tzinfo=UTC)
    drawn = dict(zip(t, top, strict=True))[written.timestamp() * 1000]
    assert float(rows[100]["coal_brown_mw"]) == pytest.approx(drawn, abs=0.01)
