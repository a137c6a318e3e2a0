"""What the page says when a part of the road behind it dies, and how it comes back by itself."""

import signal
from contextlib import suppress

import psutil
import pytest
from browsing import Visit, needs_chromium
from processes import wait_until

pytestmark = needs_chromium

NAMED_WITHIN_S = 5
BACK_WITHIN_S = 15
STALE_AFTER_S = 15


@pytest.fixture
def one(browser, grid):
    visit = Visit(browser, grid.url)
    yield visit
    visit.close()


def wait_for_stage(visit, stage, limit_s):
    visit.wait(f"document.documentElement.dataset.stage === '{stage}'", limit_s)


def test_a_killed_dashboard_is_named_and_comes_back_without_a_reload_and_without_the_internet(
    one, grid
):
    grid.part("ui").kill()

    wait_for_stage(one, "page", NAMED_WITHIN_S)
    assert "Dashboard server lost" in one.text("freshness")
    assert one.text("price").startswith(("$", "\u2212"))
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.wait("grid.column('stack', 't').length === 288", 5)
    one.moves(intervals=1)
    assert one.foreign == []


def test_a_killed_server_is_named_and_the_values_stay(one, grid):
    price = one.text("price")
    grid.part("serve").kill()

    wait_for_stage(one, "server", NAMED_WITHIN_S)
    assert "Stream server lost" in one.text("freshness")
    assert "stale" in one.text("freshness")
    assert one.text("price").startswith("$") == price.startswith("$")
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.moves(intervals=1)
    assert one.read("grid.column('stack', 't').length") == 288


def test_a_killed_broker_is_named(one, grid):
    def named():
        # The next one may be there too soon to be missed.
        with suppress(AssertionError, psutil.Error):
            grid.part("broker").kill()
        return one.read("document.documentElement.dataset.stage") == "broker"

    wait_until(named, NAMED_WITHIN_S, "the broker is named")
    assert "MQTT broker" in one.text("freshness")
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.moves(intervals=1)


def test_a_silent_publisher_is_named_after_its_limit(one, grid):
    publisher = grid.part("publish")
    publisher.send_signal(signal.SIGSTOP)
    try:
        wait_for_stage(one, "publisher", STALE_AFTER_S + NAMED_WITHIN_S)
        assert "Publisher silent" in one.text("freshness")
    finally:
        publisher.send_signal(signal.SIGCONT)
    wait_for_stage(one, "live", BACK_WITHIN_S)
