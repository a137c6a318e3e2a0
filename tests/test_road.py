"""What the page says when a part of the road behind it dies, and how it comes back by itself."""

import re
import signal
import urllib.request
from contextlib import suppress

import psutil
import pytest
from browsing import LIMIT_S, Visit, lives, needs_chromium
from processes import free_port, running, wait_until

pytestmark = needs_chromium

# Limits for a busy machine; what is named is named as soon as the page knows.
NAMED_WITHIN_S = 60
BACK_WITHIN_S = 120
STALE_AFTER_S = 15

# Notes what the page says at each stage: one that is soon over must not be missed.
WATCH = """
(() => {
  window.said = {}
  window.prices = {}
  const note = () => {
    const stage = document.documentElement.dataset.stage
    said[stage] = grid.text("freshness")
    prices[stage] = grid.deep("card-NEM").querySelector("[data-testid=price]").innerText
  }
  new MutationObserver(note).observe(document.documentElement, { attributeFilter: ["data-stage"] })
})()
"""

# As after half a minute, but at once: Bokeh tries by itself one time.
GIVES_UP_EARLY = """
(() => {
  window.given_up = 0
  Bokeh.documents[0].on_event("connection_lost", (_, event) => {
    if (event.timeout === null) given_up += 1
    else event.connection.deref()._reconnection_attempts_left = 1
  })
})()
"""


@pytest.fixture
def one(browser, grid):
    visit = Visit(browser, grid.url)
    visit.read(WATCH)
    yield visit
    visit.close()


def words_at(visit, stage, limit_s=NAMED_WITHIN_S):
    """Wait until the page has come to a stage; give what it said there."""
    visit.wait("(stage) => stage in said", limit_s, stage)
    return visit.read("said")[stage]


def lives_again(visit):
    visit.wait("document.documentElement.dataset.stage === 'live'", BACK_WITHIN_S)
    visit.moves(intervals=1)
    visit.wait("grid.column('stack', 't').length === 288", LIMIT_S)


def test_a_killed_dashboard_is_named_and_comes_back_without_a_reload_and_without_the_internet(
    one, grid
):
    grid.part("ui").kill()

    assert "Dashboard server lost" in words_at(one, "page")
    assert one.read("prices.page").startswith(("$", "\u2212"))
    lives_again(one)
    assert one.foreign == []


def test_a_page_finds_its_dashboard_again_however_long_that_was_away(browser, grid, tmp_path):
    backend = re.search(r"ws://\S+/ws/realtime", grid.said()).group()
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ("ui", "--backend", backend, "--port", url.rpartition(":")[2], "--no-open")

    def serving():
        return running(*arguments, cwd=tmp_path)

    def is_ready():
        with suppress(OSError), urllib.request.urlopen(f"{url}/readiness", timeout=5):
            return True
        return False

    with serving():
        wait_until(is_ready, 90, "the page has a grid")
        one = Visit(browser, f"{url}/?region=VIC1")
        one.read(WATCH)
        one.read(GIVES_UP_EARLY)
        one.page.get_by_test_id("card-SA1").click()
        one.page.get_by_test_id("colours").click()
        one.wait("location.search === '?region=SA1&colours=distinct'", LIMIT_S)
    assert "Dashboard server lost" in words_at(one, "page")
    one.wait("given_up > 1", LIMIT_S)
    with serving():
        wait_until(is_ready, 90, "the page has a grid again")
        lives_again(one)
        one.wait(
            "grid.pressed('card-SA1') === 'true' && grid.pressed('colours') === 'true'", LIMIT_S
        )
        assert one.read("location.search") == "?region=SA1&colours=distinct"
        assert one.read("document.documentElement.dataset.colours") == "distinct"

        def comes_together():
            seen = len(one.frames)
            one.moves(intervals=1)
            streams = [frame for frame in one.frames[seen:] if '"ColumnsStreamed"' in frame]
            return any('"ModelChanged"' in frame for frame in streams)

        # A busy browser is still drawing, and each change comes by itself until it has drawn all.
        wait_until(comes_together, LIMIT_S, "what belongs together comes together")
        one.close()


@pytest.mark.parametrize("frames", [1, 2])
def test_a_page_whose_line_breaks_amid_a_message_lives_again(one, frames):
    lines, to_break = [], []

    def relay(line):
        server = line.connect_to_server()
        lines.append(line)
        come = []

        def pass_on(frame):
            line.send(frame)
            # A message of Bokeh's is three frames; the first says what it is.
            if line in to_break and (come or '"PATCH-DOC"' in frame):
                come.append(frame)
                if len(come) == frames:
                    line.close(code=3000)

        server.on_message(pass_on)

    one.page.route_web_socket("**/ws*", relay)
    one.page.reload()
    lives(one.page)
    one.read(WATCH)
    to_break += lines
    words_at(one, "page")
    lives_again(one)


def test_a_killed_server_is_named_and_the_values_stay(one, grid):
    def named():
        # The next one may be there before the dashboard tells.
        with suppress(AssertionError, psutil.Error):
            grid.part("serve").kill()
        return "server" in one.read("said")

    wait_until(named, NAMED_WITHIN_S, "the server is named")
    said = words_at(one, "server")
    assert "Stream server lost" in said
    assert "stale" in said
    assert one.read("prices.server").startswith(("$", "\u2212"))
    lives_again(one)


def test_a_killed_broker_is_named(one, grid):
    def named():
        # The next one may be there before the server tells.
        with suppress(AssertionError, psutil.Error):
            grid.part("broker").kill()
        return "broker" in one.read("said")

    wait_until(named, NAMED_WITHIN_S, "the broker is named")
    assert "MQTT broker" in words_at(one, "broker")
    lives_again(one)


def test_a_silent_publisher_is_named_after_its_limit(one, grid):
    publisher = grid.part("publish")
    publisher.send_signal(signal.SIGSTOP)
    try:
        assert "Publisher silent" in words_at(one, "publisher", STALE_AFTER_S + NAMED_WITHIN_S)
    finally:
        publisher.send_signal(signal.SIGCONT)
    lives_again(one)
