"""Settings to a source."""

from energydash.config import FetchSettings
from energydash.errors import ConfigError
from energydash.sources.protocol import Source


def make_source(settings: FetchSettings) -> Source:
    """Give the source that `settings` name; `auto` is the API if a key is set, else the demo.

    Raises:
        ConfigError: the API is asked for without a key, or with words that it does not know.
    """
    name = settings.source
    if name == "auto":
        name = "openelectricity" if settings.api_key else "demo"
    if name == "demo":
        from energydash.sources.demo import DemoSource  # noqa: PLC0415 (numpy)

        return DemoSource(settings.seed)
    if not settings.api_key:
        raise ConfigError(
            "OPENELECTRICITY_API_KEY is not set: copy .env.example to .env and fill it in, or use --source demo"
        )
    from energydash.sources import openelectricity  # noqa: PLC0415 (httpx)

    openelectricity.check_vocabulary(settings.network, settings.interval)
    return openelectricity.OpenElectricitySource(settings.api_key, settings.base_url)
