"""Points in time as people write and read them: `30d` from now, `2027-01-31`, shown in UTC.

Whatever a store holds can be shown: a listing does not end at one odd record.
"""

import re
from datetime import UTC, date, datetime, time
from math import isnan

import click

_SPAN = re.compile(r"([0-9]{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LAST_SECOND = time(23, 59, 59, tzinfo=UTC)


def parse_span(text: str) -> float:
    """90m, 12h, 30d, 4w, in seconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a time span such as 90m, 12h, 30d or 4w")
    return float(int(found[1]) * _SECONDS[found[2]])


def parse_time(text: str) -> float:
    """A span from now (90m, 12h, 30d, 4w), a date (until its last second) or a moment; UTC unless it says otherwise.

    In seconds since the epoch.
    """
    if _SPAN.fullmatch(text):
        return datetime.now(UTC).timestamp() + parse_span(text)
    try:
        return _moment(text).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is neither a time span such as 12h or 30d nor a date such as 2027-01-31"
        ) from None


def format_time(seconds: object) -> str | None:
    """2027-01-31 12:00 UTC; a few words for what is no time, or none that a calendar has."""
    if seconds is None:
        return None
    if not isinstance(seconds, int | float) or isnan(seconds):
        return "not a time"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "after the year 9999" if seconds > 0 else "before the year 1"


def _moment(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), _LAST_SECOND)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
