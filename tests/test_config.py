"""Settings: addresses, secrets and who may listen where."""

import pytest

from energydash import config
from energydash.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("localhost", "localhost", 1883, False),
        ("10.0.0.1:2000", "10.0.0.1", 2000, False),
        ("mqtt://broker.example", "broker.example", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://[::1]:1884", "::1", 1884, False),
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
    "text", ["", "http://x", "mqtt://:1883", "host:99999", "mqtt://host:port"]
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
