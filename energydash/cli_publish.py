"""The `publish` command: its options to settings to one call."""

from pathlib import Path
from typing import Annotated

import msgspec

from energydash import config, console, nem, process, progress
from energydash import options as opt
from energydash.errors import ConfigError

_Name = str | None


def publish(
    data_dir: opt.DataDir = opt.DATA,
    broker: opt.BrokerUrl = opt.BROKER,
    broker_host: opt.BrokerHost = None,
    broker_port: opt.BrokerPort = None,
    ca_file: opt.CaFile = None,
    cert_file: opt.CertFile = None,
    key_file: opt.KeyFile = None,
    mqtt_version: opt.Version = "3.1.1",
    client_id: opt.ClientId = None,
    facility_csv: Annotated[
        Path | None,
        opt.option("--facility-csv", "Table of the stations' values (default: in --data-dir)."),
    ] = None,
    market_csv: Annotated[
        Path | None,
        opt.option("--market-csv", "Table of the market's values (default: in --data-dir)."),
    ] = None,
    facility_topic: opt.FacilityTopic = config.FACILITY_TOPIC,
    market_topic: opt.MarketTopic = config.MARKET_TOPIC,
    status_topic: Annotated[
        _Name,
        opt.option(
            "--status-topic",
            "Topic that says online or offline (default: beside the stations').",
        ),
    ] = None,
    qos: opt.Qos = 0,
    start: opt.Start = None,
    end: opt.End = None,
    facility: Annotated[
        _Name, opt.option("--facility", "Only these stations; codes, several with commas.")
    ] = None,
    region: Annotated[
        _Name, opt.option("--region", "Only these regions; several with commas.")
    ] = None,
    fuel: Annotated[
        _Name,
        opt.option("--fuel", "Only stations with these fuels or groups; several with commas."),
    ] = None,
    speed: Annotated[
        str, opt.option("--speed", "Event seconds per wall second, or max.")
    ] = "60",
    delay: Annotated[
        float, opt.option("--delay", "Least seconds between messages.", min=0)
    ] = 0.0,
    loop: Annotated[bool, opt.option("--loop", "Start again at the end.")] = False,
    rebase: Annotated[
        _Name, opt.option("--rebase", "now: shift event time so that it begins at present.")
    ] = None,
    follow: Annotated[bool, opt.option("--follow", "Go on with what the tables gain.")] = False,
    resume: Annotated[
        bool, opt.option("--resume", "Go on where the last run with --resume was stopped.")
    ] = False,
    offset_file: Annotated[
        Path | None,
        opt.option("--offset-file", "Where --resume keeps the place (default: in --data-dir)."),
    ] = None,
    backfill_until: Annotated[
        _Name,
        opt.option(
            "--backfill-until",
            "Send all up to this time (or: now) at once, before the pacing begins.",
        ),
    ] = None,
    home_assistant: Annotated[
        bool, opt.option("--home-assistant", "Announce the regions to Home Assistant.")
    ] = False,
    home_assistant_facility: Annotated[
        _Name,
        opt.option(
            "--home-assistant-facility", "Stations to announce too; several with commas."
        ),
    ] = None,
    home_assistant_prefix: Annotated[
        str, opt.option("--home-assistant-prefix", "Where Home Assistant looks for devices.")
    ] = config.HOME_PREFIX,
    home_assistant_topic: Annotated[
        str, opt.option("--home-assistant-topic", "Topic above the devices' values.")
    ] = config.HOME_TOPIC,
    home_assistant_remove: Annotated[
        bool, opt.option("--home-assistant-remove", "Take the devices away again, and stop.")
    ] = False,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Stream the tables to an MQTT broker in event-time order."""
    console.begin("publish", log_level, debug=debug)
    tables = data_dir / "csv_output"
    home = config.HomeSettings(
        prefix=home_assistant_prefix, topic=home_assistant_topic,
        facilities=opt.several(home_assistant_facility),
    )  # fmt: skip
    config.check_topics(facility_topic, market_topic)
    settings = config.PublishSettings(
        broker=opt.broker_at(
            broker, broker_host, broker_port, ca_file=ca_file, cert_file=cert_file,
            key_file=key_file, version=mqtt_version, client_id=client_id,
        ),
        facility_csv=facility_csv or tables / "facility_metrics_wide.csv",
        market_csv=market_csv or tables / "market_metrics_data.csv",
        facility_topic=facility_topic, market_topic=market_topic, status_topic=status_topic,
        qos=qos, speed=opt.speed_of(speed), delay_s=delay, loop=loop, rebase=opt.rebase_of(rebase),
        follow=follow, offset_file=(offset_file or data_dir / "publish_offset.json") if resume else None,
        backfill_until=opt.moment(backfill_until, nem.NETWORK),
        start=opt.moment(start, nem.NETWORK), end=opt.moment(end, nem.NETWORK),
        facilities=opt.several(facility), regions=opt.several(region), fuels=opt.several(fuel),
        home=home if home_assistant else None,
    )  # fmt: skip
    if home_assistant_remove:
        _remove(settings, home, as_json=as_json)
        return
    if home.facilities and not home_assistant:
        raise ConfigError("--home-assistant-facility: give --home-assistant too")
    _check(settings)
    if resume and qos == 0:
        console.tell(
            "at QoS 0 nobody acknowledges: --resume goes on after what was handed to the system, and some of that may be lost",
            quiet=quiet,
        )
    from energydash.stream import publisher

    with progress.shown("publish", quiet=quiet) as show:
        summary = process.run(publisher.run(settings, show))
    console.report(summary, as_json=as_json)


def _check(settings: config.PublishSettings) -> None:
    if settings.loop and settings.follow:
        raise ConfigError("--loop begins again and --follow waits for more: give one of them")
    if settings.start and settings.end and settings.start >= settings.end:
        raise ConfigError(
            f"the window is empty: --start {settings.start.isoformat()} is not before --end {settings.end.isoformat()}"
        )


def _remove(
    settings: config.PublishSettings, home: config.HomeSettings, *, as_json: bool
) -> None:
    from energydash.stream import publisher, removal

    settings = msgspec.structs.replace(settings, home=home)
    summary = process.run(removal.run(settings, publisher.CONNECT_TIMEOUT_S))
    console.report(summary, as_json=as_json)
