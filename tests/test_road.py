"""What the page says when a part of the road behind it dies, and how it comes back by itself."""

import signal

import psutil
import pytest
from browsing import Visit, chromium, needs_chromium
from processes import descendants, free_port, running, wait_until

pytestmark = needs_chromium

NAMED_WITHIN_S = 5
BACK_WITHIN_S = 15
STALE_AFTER_S = 15


class Up:
    """A running `up` whose parts can be killed by name."""

    def __init__(self, process, url):
        self.process = process
        self.url = url

    def part(self, word):
        """The process of a part; `up` starts another when it dies."""

        def found():
            return next(
                (each for each in descendants(self.process.pid) if _is(each, word)), None
            )

        return wait_until(found, 10, f"{word} runs")


def _is(process, word):
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return word in words or any(f"energydash.stream.{word} import" in each for each in words)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    port = free_port()
    arguments = ("up", "--no-open", "--port", str(port), "--server-port", str(free_port()))
    folder = tmp_path_factory.mktemp("road")
    with running(*arguments, cwd=folder) as process:
        url = f"http://127.0.0.1:{port}"
        said_by = folder / "stderr.txt"
        wait_until(lambda: url in said_by.read_text(), 60, "up says where the page is")
        yield Up(process, url)


@pytest.fixture
def one(browser, up):
    visit = Visit(browser, up.url)
    yield visit
    visit.close()


def wait_for_stage(visit, stage, limit_s):
    visit.wait(f"document.documentElement.dataset.stage === '{stage}'", limit_s)


def test_a_killed_dashboard_is_named_and_comes_back_without_a_reload_and_without_the_internet(
    one, up
):
    up.part("ui").kill()

    wait_for_stage(one, "page", NAMED_WITHIN_S)
    assert "Dashboard server lost" in one.text("freshness")
    assert one.text("price").startswith(("$", "\u2212"))
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.wait("grid.column('stack', 't').length === 288", 5)
    one.moves(intervals=1)
    assert one.foreign == []


def test_a_killed_server_is_named_and_the_values_stay(one, up):
    price = one.text("price")
    up.part("serve").kill()

    wait_for_stage(one, "server", NAMED_WITHIN_S)
    assert "Stream server lost" in one.text("freshness")
    assert "stale" in one.text("freshness")
    assert one.text("price").startswith("$") == price.startswith("$")
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.moves(intervals=1)
    assert one.read("grid.column('stack', 't').length") == 288


def test_a_killed_broker_is_named(one, up):
    up.part("broker").kill()

    wait_for_stage(one, "broker", NAMED_WITHIN_S)
    assert "MQTT broker" in one.text("freshness")
    wait_for_stage(one, "live", BACK_WITHIN_S)
    one.moves(intervals=1)


def test_a_silent_publisher_is_named_after_its_limit(one, up):
    publisher = up.part("publish")
    publisher.send_signal(signal.SIGSTOP)
    try:
        wait_for_stage(one, "publisher", STALE_AFTER_S + NAMED_WITHIN_S)
        assert "Publisher silent" in one.text("freshness")
    finally:
        publisher.send_signal(signal.SIGCONT)
    wait_for_stage(one, "live", BACK_WITHIN_S)
