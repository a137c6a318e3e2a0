"""The protocol's document: valid, and true of what the server sends, takes and refuses."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonschema_rs
import msgspec
import pytest
from servers import Live, Reader, reader_of, serving
from test_server import feed, power, price

from energydash import schema
from energydash.config import Broker, ServeSettings, parse_tokens
from energydash.server import asyncapi
from energydash.server.framing import JSON_PROTOCOL, MSGPACK_PROTOCOL
from energydash.server.refusals import CLOSES, ERRORS

# AsyncAPI's own (Apache-2.0), as it comes in the npm package @asyncapi/specs 6.11.1; PyPI has none.
RULES = Path(__file__).parent / "asyncapi-3.0.0.json.gz"
DOCUMENT = msgspec.json.decode(msgspec.json.encode(asyncapi.document(ServeSettings(broker=Broker()))))  # fmt: skip
MESSAGES = DOCUMENT["components"]["messages"]
ENCODINGS = [JSON_PROTOCOL, MSGPACK_PROTOCOL]
SENT = {ref["$ref"].rpartition("/")[2] for ref in DOCUMENT["operations"]["feed"]["messages"]}
TAKEN = MESSAGES.keys() - SENT


def closed(part):
    """A schema that lets no field through that it does not name."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    strict = {key: closed(value) for key, value in part.items()}
    return {**strict, "additionalProperties": False} if "properties" in strict else strict


def checker(document: dict, name: str):
    payload = document["components"]["messages"][name]["payload"]
    components = {"schemas": closed(document["components"]["schemas"])}
    return jsonschema_rs.validator_for({**payload, "components": components})


class Speaker:
    """A reader in one encoding or the other, who checks each frame against the document that this server gives."""

    def __init__(self, reader: Reader, protocol: str, document: dict) -> None:
        self._connection = reader.connection
        self._packed = protocol == MSGPACK_PROTOCOL
        self._document = document
        self.seen: set[str] = set()

    async def say(self, message: dict) -> None:
        raw = msgspec.msgpack.encode(message) if self._packed else json.dumps(message)
        await self._connection.send(raw)

    async def read_to(self, last: str) -> None:
        kind = ""
        async with asyncio.timeout(30):
            while kind != last:
                raw = await self._connection.recv()
                assert isinstance(raw, bytes) == self._packed
                frame = msgspec.msgpack.decode(raw) if self._packed else json.loads(raw)
                kind = frame["type"]
                checker(self._document, kind).validate(frame)
                self.seen.add(kind)


async def served(live: Live) -> dict:
    answer = await live.get("/schema/asyncapi.json")
    assert answer.status_code == 200
    return json.loads(answer.content)


@pytest.mark.parametrize("tokens", [(), ("let-me-in",)])
def test_the_document_is_valid(tokens):
    settings = ServeSettings(broker=Broker(), host="::1", tokens=parse_tokens(tokens))
    document = msgspec.json.decode(msgspec.json.encode(asyncapi.document(settings)))
    rules = jsonschema_rs.validator_for(json.loads(gzip.decompress(RULES.read_bytes())))

    assert [error.message for error in rules.iter_errors(document)] == []
    assert bool(document["servers"]["this"].get("security")) == bool(tokens)


def test_every_reference_leads_somewhere():
    def references(part):
        if isinstance(part, dict):
            yield from [part["$ref"]] if "$ref" in part else []
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                yield from references(each)

    found = list(references(DOCUMENT))
    assert len(found) > 50
    for reference in found:
        place = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_words_and_an_example_that_is_one(name):
    message = MESSAGES[name]
    (example,) = message["examples"]

    assert message["summary"]
    checker(DOCUMENT, name).validate(example["payload"])
    assert example["payload"]["type"] == name


def test_a_message_that_is_none_does_not_pass():
    for wrong in (
        {"type": "status", "seq": 1},
        {"type": "hello"},
        {**MESSAGES["status"]["examples"][0]["payload"], "broker": "asleep"},
        {**MESSAGES["status"]["examples"][0]["payload"], "colour": "red"},
    ):
        assert not checker(DOCUMENT, "status").is_valid(wrong)


def test_all_that_the_wire_knows_is_in_it():
    def tags(union):
        return {kind.__struct_config__.tag for kind in get_args(union)}

    assert tags(schema.ServerFrame) == SENT
    assert tags(schema.ClientFrame) == TAKEN
    assert set(get_args(schema.ErrorCode)) == ERRORS.keys()
    assert {close for refusal in ERRORS.values() for close in refusal.closes} <= CLOSES.keys()
    channel = DOCUMENT["channels"]["realtime"]
    assert channel["x-error-codes"].keys() == ERRORS.keys()
    assert channel["x-close-codes"].keys() == {str(int(code)) for code in CLOSES}


@pytest.mark.parametrize("protocol", ENCODINGS)
async def test_each_frame_that_is_sent_is_as_the_document_says(protocol):
    async with serving() as live:
        feed(live)
        document = await served(live)
        async with live.reader(subprotocols=[protocol]) as reader:
            speaker = Speaker(reader, protocol, document)
            await speaker.read_to("status")
            live.hub.facilities([power("FARM", 3, 7.5)])
            live.hub.market([price(3, -20.0, "NSW1")])
            await speaker.read_to("charts_update")
            await speaker.say({"type": "subscribe", "filter": {"fuels": ["dilithium"]}})
            await speaker.read_to("error")

    assert speaker.seen == SENT


@pytest.mark.parametrize("protocol", ENCODINGS)
@pytest.mark.parametrize("name", sorted(TAKEN))
async def test_each_message_of_the_document_is_taken_and_answered_as_it_says(name, protocol):
    async with serving(ticking=False) as live:
        feed(live)
        document = await served(live)
        replies = document["operations"][name]["reply"]["messages"]
        async with live.reader(subprotocols=[protocol]) as reader:
            speaker = Speaker(reader, protocol, document)
            await speaker.read_to("status")
            speaker.seen.clear()
            for example in document["components"]["messages"][name]["examples"]:
                await speaker.say(example["payload"])
            await speaker.read_to("status")

    assert "error" not in speaker.seen
    assert speaker.seen <= {reply["$ref"].rpartition("/")[2] for reply in replies}


async def test_each_parameter_of_the_document_is_understood():
    async with serving() as live:
        feed(live)
        document = await served(live)
        channel = document["channels"]["realtime"]
        words = {"regions": "NSW1", "fuels": "wind", "facilities": "FARM", "channels": "facilities", "seq": "0", "stream": "x"}  # fmt: skip
        assert channel["bindings"]["ws"]["query"]["properties"].keys() == words.keys()
        asked = "&".join(f"{name}={word}" for name, word in words.items())
        async with reader_of(f"ws://127.0.0.1:{live.port}{channel['address']}?{asked}") as reader:  # fmt: skip
            frames = await reader.greeting()

    assert list(frames) == ["hello", "initial_data", "status"]
    assert [f["code"] for f in frames["initial_data"]["facilities"]] == ["FARM"]


async def test_the_document_is_sent_once_and_asks_for_no_token():
    async with serving(tokens=parse_tokens(["let-me-in"])) as live:
        first = await live.get("/schema/asyncapi.json")
        again = await live.get("/schema/asyncapi.json", headers={"If-None-Match": first.headers["etag"]})  # fmt: skip
        other = await live.get("/schema/asyncapi.json", headers={"If-None-Match": '"other"'})

    assert first.headers["content-type"].startswith("application/vnd.aai.asyncapi+json")
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (other.status_code, other.content) == (200, first.content)


def test_each_start_gives_the_same_document():
    code = "import msgspec; from energydash.server import asyncapi as a; from energydash.config import Broker, ServeSettings; print(msgspec.json.encode(a.document(ServeSettings(broker=Broker()))).decode())"
    one, other = (
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    )  # fmt: skip

    assert one == other
