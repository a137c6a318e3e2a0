"""Real Mosquitto in every way in which it lets somebody in, and what is said when it does not."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from brokers import MOSQUITTO, Server, Taken, until
from certificates import issue, tls_lines
from clusters import NATS, nats
from msgspec.structs import replace
from processes import free_port
from stream_tables import settings, write_all
from test_publisher import subscribed

from energydash import config
from energydash.address import Access, parse_broker, reached
from energydash.errors import BrokerError, ConfigError
from energydash.progress import silent
from energydash.stream import publisher, subscriber

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]

RECORDS = 8


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tables(tmp_path):
    write_all(tmp_path, RECORDS // 4)
    return tmp_path


async def there_and_back(folder, address):
    """Publish with one connection and read with another: the whole way in both directions."""
    async with subscribed(address) as sink:
        summary = await publisher.run(settings(folder, address, qos=1), silent)
        await until(lambda: len(sink.stations) >= RECORDS // 4 * 3, "the records")
    assert summary.acknowledged == RECORDS


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("secure", [False, True])
async def test_both_versions_over_tcp_and_tls(tables, pki, secure, version):
    lines = tls_lines(pki) if secure else ()
    with Server("mosquitto", tables, *lines, "allow_anonymous true") as server:
        scheme, ca = ("mqtts", pki / "ca.pem") if secure else ("mqtt", None)
        address = parse_broker(f"{scheme}://127.0.0.1:{server.port}")
        await there_and_back(tables, reached(address, Access(version=version, ca_file=ca)))


@pytest.mark.skipif(NATS is None, reason="nats-server is not installed")
@pytest.mark.parametrize("secure", [False, True])
async def test_over_websockets(tables, pki, secure):
    """NATS, because not every Mosquitto is built with them."""
    port = free_port()
    tls = f'tls {{ cert_file: "{pki}/broker.pem", key_file: "{pki}/broker.key" }}'
    websocket = (
        f'websocket {{ listen: "127.0.0.1:{port}", {tls if secure else "no_tls: true"} }}'
    )
    with nats(tables, 1, websocket):
        scheme, ca = ("wss", pki / "ca.pem") if secure else ("ws", None)
        address = parse_broker(f"{scheme}://127.0.0.1:{port}/mqtt")
        await there_and_back(tables, reached(address, Access(ca_file=ca)))


async def test_a_client_certificate_opens_the_door_and_without_one_it_is_said(tables, pki):
    lines = tls_lines(pki, "require_certificate true", "use_identity_as_username true")
    with Server("mosquitto", tables, *lines) as server:
        plain = parse_broker(f"mqtts://127.0.0.1:{server.port}")
        ours = {"cert_file": pki / "client.pem", "key_file": pki / "client.key"}
        await there_and_back(tables, reached(plain, Access(ca_file=pki / "ca.pem", **ours)))

        without = reached(plain, Access(ca_file=pki / "ca.pem"))
        with pytest.raises(BrokerError, match=r"do not accept each other.*certificate"):
            await publisher.run(settings(tables, without), silent)


# paho leaves a socket whose handshake failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_nobody_vouches_for_is_not_trusted(tables, pki):
    with Server("mosquitto", tables, *tls_lines(pki, "allow_anonymous true")) as server:
        plain = parse_broker(f"mqtts://127.0.0.1:{server.port}")
        for access in (Access(), Access(ca_file=pki / "strange.pem")):
            with pytest.raises(BrokerError, match=r"CERTIFICATE_VERIFY_FAILED.*certificate$"):
                await publisher.run(settings(tables, reached(plain, access)), silent)


def with_users(folder):
    """Lines for a broker with users of whom `ann` may do all and `bob` may only read."""
    tool = shutil.which("mosquitto_passwd") or pytest.skip("mosquitto_passwd is not installed")
    users, rules = folder / "users", folder / "rules"
    users.touch()
    for name in ("ann", "bob"):
        subprocess.run([tool, "-b", str(users), name, "right"], check=True)
    users.chmod(0o644)
    rules.write_text("user ann\ntopic readwrite #\nuser bob\ntopic read #\n")
    return (
        f"password_file {users}",
        f"acl_file {rules}",
        "allow_anonymous false",
        "user root",
    )


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_wrong_password_is_said_at_once_and_never_shown(tables, version):
    with Server("mosquitto", tables, *with_users(tables)) as server:
        asked = config.Broker(port=server.port, username="ann", version=version)
        await there_and_back(tables, replace(asked, password=config.Secret("right")))

        wrong = replace(asked, password=config.Secret("hunter2"))
        with pytest.raises(BrokerError, match="check user, password") as caught:
            await publisher.run(settings(tables, wrong), silent)
        topics = {"facility_topic": config.FACILITY_TOPIC, "market_topic": config.MARKET_TOPIC}
        with pytest.raises(BrokerError, match="check user, password"):
            await subscriber.run(wrong, **topics, sink=Taken())
    assert "hunter2" not in str(caught.value)


async def test_what_the_broker_lets_nobody_publish_is_said_where_mqtt_can_say_it(tables):
    with Server("mosquitto", tables, *with_users(tables)) as server:
        bob = config.Broker(
            port=server.port, username="bob", password=config.Secret("right"), version="5"
        )
        with pytest.raises(BrokerError, match=r"refuses what is sent to a02.*access rules"):
            await publisher.run(settings(tables, bob, qos=1), silent)


@pytest.mark.skipif(NATS is None, reason="nats-server is not installed")
async def test_what_nobody_may_read_is_said(tables):
    """NATS, because Mosquitto lets everybody subscribe and then sends nothing."""
    rules = 'authorization { users: [{ user: ann, password: right, permissions: { subscribe: { deny: "a02.>" } } }] }'
    with nats(tables, 1, rules) as (node,):
        ann = config.Broker(port=node.port, username="ann", password=config.Secret("right"))
        topics = {"facility_topic": config.FACILITY_TOPIC, "market_topic": config.MARKET_TOPIC}
        with pytest.raises(BrokerError, match="does not let us read"):
            await asyncio.wait_for(subscriber.run(ann, **topics, sink=Taken()), 30)


@pytest.mark.parametrize(
    ("address", "access", "words"),
    [
        ("mqtt://h", Access(version="4"), "--mqtt-version 4"),
        (
            "mqtts://h",
            Access(ca_file=Path("nowhere.pem")),
            "--ca-file nowhere.pem is not there",
        ),
        ("mqtts://h", Access(cert_file=Path(__file__)), "belong together"),
        ("mqtt://h", Access(ca_file=Path(__file__)), "give the broker as mqtts://"),
    ],
)
def test_options_that_cannot_be_are_refused(address, access, words):
    with pytest.raises(ConfigError, match=words):
        reached(parse_broker(address), access)


async def test_a_file_that_is_no_certificate_is_said(tables):
    broker = reached(parse_broker("mqtts://127.0.0.1"), Access(ca_file=tables / "source.json"))
    with pytest.raises(ConfigError, match=r"certificates for mqtts://.* cannot be used"):
        await publisher.run(settings(tables, broker), silent)
