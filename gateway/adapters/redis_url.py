"""The URL of a store: where it is, how it is reached, and with which user.

    redis://[user:password@]host[:6379][/db]        rediss:// the same over TLS
    unix:///path/of/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379],host.../service[/db]     rediss+sentinel://
    redis+cluster://[user:password@]host[:6379],host...                    rediss+cluster://

User and password are those of the servers; Sentinels have their own user (`?sentinel_user=`) and password. With TLS,
Sentinels and servers both speak it, or Sentinels alone (`redis+sentinel://...?sentinel_tls=yes`) or servers alone
(`rediss+sentinel://...?sentinel_tls=no`). Certificates are always verified; `?ssl_ca_certs=`, `?ssl_certfile=` and
`?ssl_keyfile=` name files. Errors never quote the URL, which may contain a password. Nothing is connected here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Mode = Literal["single", "unix", "sentinel", "cluster"]
SCHEMES: Mapping[str, tuple[Mode, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OF_SENTINELS = ("sentinel_user", "sentinel_tls")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A parsed URL."""

    mode: Mode
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    sentinel_user: str | None = None
    sentinel_tls: bool = False


def parse_address(url: str) -> StoreAddress:
    """Raises ValueError with a sentence that says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"a store's URL must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    mode, tls = SCHEMES[parts.scheme]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = {*FILES, "db", *(OF_SENTINELS if mode == "sentinel" else ())}
    if unknown := sorted(set(query) - known):
        raise ValueError(f"unknown parameters in a store's URL: {', '.join(unknown)}")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    path = [unquote(part) for part in parts.path.split("/")[1:]]
    service = path.pop(0) if mode == "sentinel" and path else ""
    address = StoreAddress(
        mode,
        tls,
        hosts=() if mode == "unix" else _hosts(netloc, 26379 if mode == "sentinel" else 6379),
        path=unquote(parts.path) if mode == "unix" else "",
        service=service,
        db=_number(query.get("db") or ("" if mode == "unix" or not path else path[0]) or "0", "database"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        files={name: query[name] for name in FILES if name in query},
        sentinel_user=query.get("sentinel_user") or None,
        sentinel_tls=mode == "sentinel" and _yes(query.get("sentinel_tls", "yes" if tls else "no")),
    )
    return _checked(address)


def _checked(address: StoreAddress) -> StoreAddress:
    if address.mode == "unix" and not address.path.startswith("/"):
        raise ValueError("a unix:// URL must contain the absolute path of a socket: unix:///path")
    if address.mode == "sentinel" and not address.service:
        raise ValueError("a redis+sentinel:// URL must name the service after the hosts: .../service")
    if address.mode == "cluster" and address.db:
        raise ValueError("a cluster has only database 0")
    if address.mode == "single" and len(address.hosts) != 1:
        raise ValueError("a redis:// URL takes one host; several need redis+sentinel:// or redis+cluster://")
    if address.files and not (address.tls or address.sentinel_tls):
        raise ValueError("ssl_ parameters need a URL with TLS (rediss://)")
    return address


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("sentinel_tls in a store's URL is yes or no")
    return text == "yes"


def _hosts(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(item, default_port) for item in netloc.split(","))


def _host(item: str, default_port: int) -> tuple[str, int]:
    # An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
    host, bracket, port = item.rpartition("]") if item.startswith("[") else item.partition(":")
    host, port = (host[1:], port.removeprefix(":")) if bracket == "]" else (host, port)
    if not host:
        raise ValueError("a store's URL must name a host")
    return host, _number(port, "port") if port else default_port


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"the {what} in a store's URL is not a number")
    return int(text)
