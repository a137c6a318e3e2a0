"""Which browsers' pages from elsewhere may read REST: those of an allowed origin, and no other."""

import asyncio

import httpx
import pytest
from browsing import LIMIT_S, chromium, needs_chromium
from servers import serving
from test_server import feed

from energydash.config import parse_tokens

PAGE = "https://grid.example"
OTHERS = ["https://grid.example.evil", "https://gridxexample", "http://grid.example", "https://sub.grid.example", "null"]  # fmt: skip
ASKING = {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}


async def ask(live, method: str, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=live.http) as client:
        return await client.request(method, "/api/facilities", headers=headers)


async def test_a_page_of_an_allowed_origin_may_read_and_see_the_links():
    async with serving(allow_origin=(f"{PAGE}/",)) as live:
        feed(live)
        answer = await live.get("/api/facilities?limit=1", headers={"Origin": PAGE})
        plain = await live.get("/api/facilities?limit=1")
        missing = await live.get("/api/facilities/NOPE", headers={"Origin": PAGE})

    assert answer.headers["access-control-allow-origin"] == PAGE
    assert {"ETag", "Link"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in plain.headers
    # Whoever keeps a copy has to know, also of the one that no page has asked for.
    assert answer.headers["vary"] == plain.headers["vary"] == "Accept, Accept-Encoding, Origin"
    assert missing.status_code == 404
    assert missing.headers["access-control-allow-origin"] == PAGE


async def test_an_allowed_page_may_ask_with_a_token():
    async with serving(allow_origin=(PAGE,), tokens=parse_tokens(["s3cret"])) as live:
        feed(live)
        before = await ask(live, "OPTIONS", {"Origin": PAGE, **ASKING})  # fmt: skip
        right = {"Origin": PAGE, "Authorization": "Bearer s3cret"}
        answers = [await live.get("/api/facilities", headers=each) for each in (right, {"Origin": PAGE})]  # fmt: skip

    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in before.headers["access-control-allow-headers"].lower()
    assert [each.status_code for each in answers] == [200, 401]
    assert all(each.headers["access-control-allow-origin"] == PAGE for each in answers)


@pytest.mark.parametrize("allowed", [(), (PAGE,), ("https://*",)])
async def test_no_other_page_may_read(allowed):
    async with serving(allow_origin=allowed) as live:
        feed(live)
        for origin in OTHERS:
            for method in ("GET", "OPTIONS"):
                headers = {"Origin": origin, **(ASKING if method == "OPTIONS" else {})}
                answer = await ask(live, method, headers)
                assert "access-control-allow-origin" not in answer.headers, origin


@needs_chromium[0]
@needs_chromium[1]
async def test_a_browser_hands_the_answer_to_the_allowed_page_alone():
    async def page(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as pages:
        port = pages.sockets[0].getsockname()[1]
        allowed, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        async with serving(allow_origin=(allowed,), tokens=parse_tokens(["s3cret"])) as live:
            feed(live)
            read = f"""
                fetch("{live.http}/api/facilities?limit=1", {{ headers: {{ Authorization: "Bearer s3cret" }} }})
                    .then(async (answer) => [(await answer.json()).facilities.length, answer.headers.get("link") !== null])
                    .catch((error) => error.name)
            """

            def browse():
                with chromium() as browser:
                    tab = browser.new_page()
                    tab.set_default_timeout(LIMIT_S * 1000)
                    tab.goto(allowed)
                    mine = tab.evaluate(read)
                    tab.goto(other)
                    return mine, tab.evaluate(read)

            assert await asyncio.to_thread(browse) == ([1, True], "TypeError")
