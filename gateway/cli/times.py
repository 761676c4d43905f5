"""Points in time as people write and read them: `30d` from now, `2027-01-31`, shown in UTC."""

import re
from datetime import UTC, datetime

import click

_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_span(text: str) -> float:
    """90m, 12h, 30d, 4w, in seconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a time span such as 90m, 12h, 30d or 4w")
    return float(int(found[1]) * _SECONDS[found[2]])


def parse_time(text: str) -> float:
    """A span from now (90m, 12h, 30d, 4w) or a date (UTC), as seconds since the epoch."""
    if _SPAN.fullmatch(text):
        return datetime.now(UTC).timestamp() + parse_span(text)
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a time span such as 12h or 30d nor a date such as 2027-01-31"
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def format_time(seconds: float | None) -> str | None:
    """2027-01-31 12:00 UTC"""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
