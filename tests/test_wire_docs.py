"""What README says of the WebSocket is true: its tables against the served document, its clients against a server."""

import asyncio
import re
import subprocess
import sys

import msgspec
import pytest
from brokers import until
from browsing import LIMIT_S, chromium, needs_chromium
from readme import README, block
from servers import Live, serving
from test_server import feed, power

from energydash.config import Broker, ServeSettings
from energydash.server import asyncapi
from energydash.server.framing import JSON_PROTOCOL, MSGPACK_PROTOCOL
from energydash.server.refusals import CLOSES, ERRORS

PART = README[README.index("**WebSocket**") : README.index("**REST**")]
ROWS = {cells[0].strip("` "): " | ".join(cells[1:]) for row in re.findall(r"^\|(.+)\|$", PART, re.MULTILINE) if (cells := row.split("|"))}  # fmt: skip
DOCUMENT = msgspec.json.decode(msgspec.json.encode(asyncapi.document(ServeSettings(broker=Broker()))))  # fmt: skip
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]


def words(text: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)(?:\[\w+(?:\[i\])?\])?`", text))


@pytest.mark.parametrize("name", MESSAGES)
def test_readme_tells_each_message_with_all_its_fields(name):
    fields = SCHEMAS[MESSAGES[name]["title"]]["properties"].keys() - {"type"}

    assert fields <= words(ROWS[name])


@pytest.mark.parametrize(
    "name", ["FacilityValues", "MarketRecord", "ScopeSeries", "LinkSeries", "Filter"]
)
def test_readme_tells_what_is_within_a_message(name):
    told = words(PART) | {"times", "at"}

    assert SCHEMAS[name]["properties"].keys() <= told


@pytest.mark.parametrize("code", ERRORS)
def test_readme_tells_each_error_with_its_close_codes(code):
    assert [int(close) for close in re.findall(r"\b1\d{3}\b", ROWS[code].rpartition("|")[2])] == list(ERRORS[code].closes)  # fmt: skip


def test_readme_tells_each_close_code_encoding_parameter_and_limit():
    query = DOCUMENT["channels"]["realtime"]["bindings"]["ws"]["query"]["properties"]
    limits = asyncapi.limits()

    assert all(str(int(code)) in PART for code in CLOSES.keys() - {1006})
    assert {JSON_PROTOCOL, MSGPACK_PROTOCOL, "bearer.…", "permessage-deflate"} <= set(re.findall(r"[\w.-]+\.v1\.\w+|bearer\.…|permessage-deflate", PART))  # fmt: skip
    assert all(f"{name}=" in PART for name in query)
    for number, unit in (
        (limits["message_bytes"] // 1024, " KiB"), (limits["message_fragments"], " pieces"), (limits["frames_per_second"], " frames"),
        (limits["frames_at_once"], " at once"), (limits["wishes_per_second"], " `subscribe`"), (limits["wishes_at_once"], " at once"),
        (limits["different_filters"], " different"), (limits["stalled_s"], " s"), (limits["behind_s"], " s"),
        (limits["ping_every_s"], " s"), (limits["pong_within_s"], " s"),
    ):  # fmt: skip
        assert f"{number:.0f}{unit}" in " ".join(PART.split())


def client(language: str, live: Live) -> str:
    code = block(language, "/ws/realtime")
    assert len(code.splitlines()) <= 15
    assert ":8000/" in code
    return code.replace(":8000/", f":{live.port}/")


async def drive(live: Live, lines: list[str]) -> None:
    """Let the client see a snapshot and then a change, and check the sums that it prints."""
    await until(lambda: any("2 stations, 204.0 MW" in line for line in lines), "a snapshot", 60)
    live.hub.facilities([power("FARM", 3, 7.5), power("COAL", 3, 1000.0)])
    await until(lambda: any("2 stations, 109.5 MW" in line for line in lines), "an update", 60)


async def test_readmes_python_client_works():
    async with serving() as live:
        feed(live)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", client("python", live), stdout=subprocess.PIPE
        )
        lines: list[str] = []

        async def read() -> None:
            while line := await process.stdout.readline():
                lines.append(line.decode())

        reading = asyncio.create_task(read())
        try:
            await drive(live, lines)
        finally:
            process.kill()
            await process.wait()
            await reading


@needs_chromium[0]
@needs_chromium[1]
async def test_readmes_javascript_client_works():
    async with serving() as live:
        feed(live)
        lines: list[str] = []
        done = asyncio.Event()

        def browse() -> None:
            with chromium() as browser:
                page = browser.new_page()
                page.set_default_timeout(LIMIT_S * 1000)
                page.on("console", lambda message: lines.append(message.text))
                page.goto(live.http)
                page.evaluate(f"() => {{ {client('js', live)} }}")
                for _ in range(2000):
                    if done.is_set():
                        return
                    page.wait_for_timeout(50)

        visit = asyncio.create_task(asyncio.to_thread(browse))
        try:
            await drive(live, lines)
        finally:
            done.set()
            await visit
