"""What several files need and is dear: a running grid and a browser, one of each for a file."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
import trustme
from browsing import chromium
from hypothesis import HealthCheck, settings
from processes import Up, free_port, running, wait_until

from energydash.stream import publisher

# How long an example takes says something of the machine, not of the code. Where CI is set, each run tries the same examples.
settings.register_profile(
    "energydash", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("energydash"), max_examples=1000)
settings.load_profile("energydash")

# A script that runs the tests in its background has Ctrl-C ignored in all that they start, and we honour that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The files that take longest begin first, and what is short fills up the end. A browser and the grid that it shows use a quarter of the
# machine even while a test waits for them: they take turns with what needs none.
_LONG = (
    "test_page", "test_operations", "test_replicas", "test_up", "test_publisher_places", "test_follow", "test_nemweb_source", "test_page_reader",
    "test_chaos", "test_end_to_end", "test_publisher", "test_cluster", "test_convert_again", "test_page_explore", "test_publisher_faults", "test_guard",
    "test_road", "test_rest", "test_server", "test_demo_source", "test_feed", "test_fetch_kill", "test_standin", "test_fetch_faults",
    "test_nemweb_up", "test_ws", "test_explore", "test_api", "test_compaction", "test_readme", "test_page_parts", "test_page_keys",
)  # fmt: skip


# What a test asks of a server in its own process is answered late by a busy machine; and so does a broker answer the publisher.
for _asks in (httpx.get, httpx.head, httpx.AsyncClient.__init__, httpx.Client.__init__):
    _asks.__kwdefaults__["timeout"] = httpx.Timeout(60)
publisher.run.__defaults__ = (60.0,)


def pytest_configure(config: pytest.Config) -> None:
    """Trust one authority instead of the world's: no test asks the world, and to read them costs every HTTP client 20 ms."""
    if not hasattr(config, "workerinput"):
        folder = TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        file = Path(folder.name) / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(file))
        os.environ["SSL_CERT_FILE"] = str(file)


def pytest_collection() -> None:
    """Look for no garbage while all there is is being loaded, and later not among that: a fifth of the time that loading takes."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; refuse two tests of one name, of which xdist runs one."""
    if twice := [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]:  # fmt: skip
        raise pytest.UsageError(f"several tests are called {', '.join(twice)}")
    order = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: much of what is tested waits for another process."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A fresh `up` on the simulated grid, four times as fast as usual; a file at a time, because it works as long as it runs."""
    base = free_port(row=3)
    url = f"http://127.0.0.1:{base}"
    ports = ("--port-base", str(base))
    folder = tmp_path_factory.mktemp("up")
    with running("up", "--no-open", "--speed", "240", *ports, cwd=folder) as process:
        said = folder / "stderr.txt"
        wait_until(lambda: url in said.read_text(), 300, "up says where the page is")
        yield Up(process, url, said)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Give a browser; a file at a time, because Playwright's loop and those of async tests exclude each other."""
    with chromium() as found:
        yield found
