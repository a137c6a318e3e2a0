"""Settings: addresses, secrets and who may listen where."""

import pytest

from energydash import config
from energydash.address import Access, reached
from energydash.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("localhost", "localhost", 1883, False),
        ("10.0.0.1:2000", "10.0.0.1", 2000, False),
        ("mqtt://broker.example", "broker.example", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://[::1]:1884", "::1", 1884, False),
        ("ws://broker.example:9001", "broker.example", 9001, False),
        ("wss://broker.example", "broker.example", 443, True),
    ],
)
def test_a_broker_address_is_read(text, host, port, tls):
    broker = config.parse_broker(text)

    assert (broker.host, broker.port, broker.tls) == (host, port, tls)


def test_a_brokers_password_is_kept_but_never_shown():
    broker = config.parse_broker("mqtts://ann:s%40fe@host:1")

    assert broker.username == "ann"
    assert broker.password is not None
    assert broker.password.reveal() == "s@fe"
    assert "s@fe" not in f"{broker} {broker!r} {broker.password} {broker.url}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://h", "ws://h:80/mqtt"),
        ("wss://h:1/deep/path", "wss://h:1/deep/path"),
        ("ws://h/?key=1", "ws://h:80/mqtt?key=1"),
        ("mqtts://ann:secret@h", "mqtts://h:8883"),
        ("mqtt://[::1]", "mqtt://[::1]:1883"),
    ],
)
def test_a_brokers_url_is_whole_and_without_its_password(text, url):
    assert config.parse_broker(text).url == url


def test_the_nodes_of_a_cluster_share_what_the_first_says():
    broker = config.parse_broker("mqtts://ann:secret@one:1, two, mqtts://bob:other@three:3")

    assert [each.url for each in broker.all] == ["mqtts://one:1", "mqtts://two:8883", "mqtts://three:3"]  # fmt: skip
    assert [each.username for each in broker.all] == ["ann", "ann", "bob"]
    passwords = [each.password.reveal() for each in broker.all if each.password]
    assert passwords == ["secret", "secret", "other"]
    with_access = reached(broker, Access(version="5", client_id="me"))
    assert {(each.version, each.client_id) for each in with_access.all} == {("5", "me")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://x",
        "mqtt://:1883",
        "host:99999",
        "mqtt://host:port",
        "mqtt://a,",
        "mqtt://a,ftp://b",
    ],
)
def test_a_wrong_broker_address_is_refused(text):
    with pytest.raises(ConfigError):
        config.parse_broker(text)


def test_a_secret_hides_in_every_form():
    secret = config.Secret("abc")

    assert f"{secret} {secret!r} {secret!s}" == "*** Secret('***') ***"
    assert secret.reveal() == "abc"


def test_listening_beyond_this_machine_needs_a_token_or_a_word():
    config.check_exposure("127.0.0.1", guarded=False, insecure=False)
    config.check_exposure("0.0.0.0", guarded=True, insecure=False)
    config.check_exposure("0.0.0.0", guarded=False, insecure=True)
    with pytest.raises(ConfigError, match="--insecure"):
        config.check_exposure("0.0.0.0", guarded=False, insecure=False)


def test_topics_stand_beside_each_other():
    assert (
        config.topic_beside(config.FACILITY_TOPIC, "latest") == "a02/facility_metrics/v1/latest"
    )
    assert config.topic_beside("grid", "latest") == "latest"
