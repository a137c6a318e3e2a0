"""The embedded broker as a process."""

import signal
import subprocess
import sys

import pytest
from brokers import START, Server, put_all
from processes import free_port

from energydash import config
from energydash.errors import BrokerError
from energydash.stream.client import connected
from energydash.stream.link import Link


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_embedded_broker_ends_cleanly_when_told(tmp_path, number):
    with Server("embedded", tmp_path) as server:
        server.process.send_signal(number)
        assert server.process.wait(timeout=60) == 0


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    with Server("embedded", tmp_path) as server:
        second = subprocess.run(
            [sys.executable, "-c", START, "127.0.0.1", str(server.port)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"port {server.port} is in use" in second.stderr


async def test_a_retained_message_of_a_megabyte_reaches_who_comes_later(tmp_path):
    body = b"x" * 1_000_000
    topic = config.topic_beside(config.FACILITY_TOPIC, "latest")
    with Server("embedded", tmp_path) as server:
        async with connected(server.address, "test") as mqtt:
            await mqtt.publish(topic, body, qos=1, retain=True)
        async with connected(server.address, "test") as mqtt:
            await mqtt.subscribe(topic)
            async for message in mqtt.messages:
                assert message.payload == body
                break


async def test_a_flight_arrives_whole_and_in_order(tmp_path):
    sent = [b"%d" % i for i in range(2500)]
    with Server("embedded", tmp_path) as server:
        async with (
            connected(server.address, "a") as reader,
            connected(server.address, "b", qos=1) as mqtt,
        ):
            await reader.subscribe("flight", qos=1)
            await put_all(mqtt, [("flight", body) for body in sent])
            got = []
            async for message in reader.messages:
                got.append(message.payload)
                if len(got) == len(sent):
                    break
    assert got == sent


async def test_a_patience_that_is_over_is_an_answer_like_any_other():
    link = Link(config.Broker(port=free_port()), "test")
    with pytest.raises(BrokerError, match="no MQTT broker answers"):
        await link.run(lambda client: client.lost(), 0.0)
