"""Ask the running gateway whether it is ready: for people, and for the health checks of containers."""

import http.client
import json
from urllib.parse import urlsplit

import click

from gateway.cli.options import CommandError, CommandOptions, SecondsRange, with_options
from gateway.core.readiness import OWN_FAULTS, SHARED_PARTS
from gateway.wiring.process import running_url


@click.command()
@click.option("--url", help="The gateway's URL. Default: the gateway that runs on these settings.")
@click.option("--timeout", default=2.0, show_default=True, type=SecondsRange(0.05, 3600), help="Seconds.")
@with_options
def health(options: CommandOptions, url: str | None, timeout: float) -> None:
    """Ask whether the gateway is ready: exit status 0, or 1 and the reason."""
    url = url or _running_url(options)
    status, faults, degraded = read_readyz(url, timeout)
    shared = [f"{SHARED_PARTS.get(name, name)}" for name in degraded]
    if status != 200:
        own = [OWN_FAULTS.get(name, name) for name in faults]
        raise CommandError(f"{url} is not ready: {'; '.join([*own, *shared]) or f'it answers {status}'}.")
    remark = f", with a part lost: {'; '.join(shared)}" if shared else ""
    options.show({"url": url, "ready": True, "degraded": degraded}, [f"{url} is ready{remark}."])


def read_readyz(url: str, timeout_s: float) -> tuple[int, list[str], list[str]]:
    """The status of /readyz, and the names of the faults and of the degraded parts."""
    connection: http.client.HTTPConnection | None = None
    try:
        address = urlsplit(url)
        scheme = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = scheme(address.hostname or "", address.port, timeout=timeout_s)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        parts = json.loads(answer.read(65_536))
        faults, degraded = ([str(name) for name in parts.get(part, ())] for part in ("faults", "degraded"))
        return answer.status, faults, degraded
    except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError, RecursionError):
        raise CommandError(f"No gateway answers at {url}.") from None
    finally:
        if connection is not None:
            connection.close()


def _running_url(options: CommandOptions) -> str:
    settings = options.settings()
    url = running_url(settings)
    if url is None:
        raise CommandError(f"No gateway runs on {settings.data_dir}.")
    return url
