"""Ask the running gateway whether it can serve: for people, and for the health checks of containers."""

import http.client
import json
from urllib.parse import urlsplit

import click

from gateway.cli.options import CommandError, CommandOptions, with_options
from gateway.wiring.process import running_url


@click.command()
@click.option("--url", help="The gateway's address; without it the one that runs on these settings.")
@click.option("--timeout", default=2.0, show_default=True, type=click.FloatRange(min=0.05), help="Seconds.")
@with_options
def health(options: CommandOptions, url: str | None, timeout: float) -> None:
    """Whether the gateway can serve: exit status 0, or 1 and why not."""
    address = url or _address(options)
    status, parts = ask(address, timeout)
    lost = sorted(name for name, fine in parts.items() if name != "ready" and not fine)
    if status != 200:
        raise CommandError(f"{address} is not ready; lost: {', '.join(lost) or 'unknown'}.")
    remark = f" (without its {', '.join(lost)})" if lost else ""
    options.show({"url": address, **parts}, [f"{address} is ready{remark}."])


def ask(url: str, timeout_s: float) -> tuple[int, dict[str, bool]]:
    """The status of /readyz and what it says of each part."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = json.loads(answer.read(65_536))
        return answer.status, {str(name): bool(value) for name, value in said.items()}
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        raise CommandError(f"No gateway answers at {url}.") from None
    finally:
        connection.close()


def _address(options: CommandOptions) -> str:
    settings = options.settings()
    url = running_url(settings)
    if url is None:
        raise CommandError(f"No gateway runs on {settings.data_dir}.")
    return url
