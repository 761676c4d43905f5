"""Settings that are valid one by one but contradict each other, or files that they name and that cannot be used.

Each rule names the settings that it compares, so that an error in one of them is not reported twice.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from gateway.core.rules import unknown_rules
from gateway.core.sampler_checks import unknown_checks
from gateway.core.signatures import read_public_key
from gateway.settings.errors import SettingError
from gateway.settings.limits import HolderLimits
from gateway.settings.model import Settings
from gateway.settings.secret_files import MASTER_BYTES, secret_file_error

STORE_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
LEASE_MARGIN_S = 30
Rule = tuple[tuple[str, ...], Callable[[Settings], str | None]]


def _lease(settings: Settings) -> str | None:
    least = settings.upstream.total_s + LEASE_MARGIN_S
    if settings.admission.reservation_lease_s >= least:
        return None
    return f"must be at least upstream.total_s + {LEASE_MARGIN_S} ({least:g}), or a slow call outlives its reservation"


def _connect(settings: Settings) -> str | None:
    return "is longer than upstream.total_s" if settings.upstream.connect_s > settings.upstream.total_s else None


def _first_byte(settings: Settings) -> str | None:
    return "is longer than upstream.total_s" if settings.upstream.first_byte_s > settings.upstream.total_s else None


def _user_bodies(settings: Settings) -> str | None:
    request = settings.request
    return "is more than request.bodies_bytes" if request.user_bodies_bytes > request.bodies_bytes else None


def _ports(settings: Settings) -> str | None:
    listen = settings.listen
    same = listen.metrics_port == listen.port != 0
    shared = listen.host == listen.metrics_host or "0.0.0.0" in (listen.host, listen.metrics_host)
    return "is the same as listen.port" if same and shared else None


def _master(settings: Settings) -> str | None:
    if settings.stores.state_url is None or settings.secrets.master_file is not None:
        return None
    return "is required with stores.state_url: every machine on that store needs the same secret"


def _pickle(settings: Settings) -> str | None:
    return "must be false: answers are JSON only" if settings.upstream.ask_pickle else None


def _upstream(settings: Settings) -> str | None:
    try:
        parts = urlsplit(settings.upstream.url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        return "must be http(s)://host[:port]"
    return None if plain and bare else "must be http(s)://host[:port], without path, query or credentials"


def _some_key(settings: Settings) -> str | None:
    return None if settings.upstream.keys else "at least one upstream key is needed"


def _key_names(settings: Settings) -> str | None:
    names = [key.id for key in settings.upstream.keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"the id {', '.join(twice)} is given twice" if twice else None


def _classes(settings: Settings) -> str | None:
    empty = settings.cache.enabled and not settings.cache.classes
    return "is empty while cache.enabled is true" if empty else None


def _rules(settings: Settings) -> str | None:
    strange = unknown_rules(settings.cache.rules)
    return f"unknown rules: {', '.join(strange)}" if strange else None


def _checks(settings: Settings) -> str | None:
    strange = unknown_checks(settings.request.checks)
    return f"unknown checks: {', '.join(strange)}" if strange else None


def _signers(settings: Settings) -> str | None:
    strange = [text for text in settings.cache.trusted_signers if read_public_key(text) is None]
    return f"{len(strange)} of them are no public key, as `cache signing-key` prints it" if strange else None


def _state_url(settings: Settings) -> str | None:
    return _store(settings.stores.state_url)


def _cache_url(settings: Settings) -> str | None:
    return _store(settings.stores.cache_url)


def _store(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL"
    if parts.scheme not in STORE_SCHEMES:
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in STORE_SCHEMES)}"
    if parts.password is not None or "password=" in parts.query:
        return "contains a password; put it into a file, and name that in the setting ending in _password_file"
    return None


def _state_sentinels(settings: Settings) -> str | None:
    return _sentinels(settings.stores.state_url, settings.stores.state_sentinel_password_file is not None)


def _cache_sentinels(settings: Settings) -> str | None:
    return _sentinels(settings.stores.cache_url, settings.stores.cache_sentinel_password_file is not None)


def _sentinels(url: str | None, password: bool) -> str | None:
    named = url is not None and "+sentinel://" in url
    return "is for Sentinels, and the store's URL names none" if password and not named else None


RULES: tuple[Rule, ...] = (
    (("admission.reservation_lease_s", "upstream.total_s"), _lease),
    (("upstream.connect_s", "upstream.total_s"), _connect),
    (("upstream.first_byte_s", "upstream.total_s"), _first_byte),
    (("request.user_bodies_bytes", "request.bodies_bytes"), _user_bodies),
    (("listen.metrics_port", "listen.port", "listen.host", "listen.metrics_host"), _ports),
    (("secrets.master_file", "stores.state_url"), _master),
    (("upstream.ask_pickle",), _pickle),
    (("upstream.url",), _upstream),
    (("upstream.keys",), _some_key),
    (("upstream.keys",), _key_names),
    (("cache.classes", "cache.enabled"), _classes),
    (("cache.rules",), _rules),
    (("request.checks",), _checks),
    (("cache.trusted_signers",), _signers),
    (("stores.state_url",), _state_url),
    (("stores.cache_url",), _cache_url),
    (("stores.state_sentinel_password_file", "stores.state_url"), _state_sentinels),
    (("stores.cache_sentinel_password_file", "stores.cache_url"), _cache_sentinels),
)


def contradictions(settings: Settings, invalid: frozenset[str]) -> Iterator[SettingError]:
    """All contradictions; rules that read an already invalid setting are skipped."""
    for names, rule in RULES:
        reason = None if any(_touches(name, bad) for name in names for bad in invalid) else rule(settings)
        if reason is not None:
            yield SettingError(names[0], reason)
    yield from _bursts(settings)
    yield from _secret_errors(settings)


def _bursts(settings: Settings) -> Iterator[SettingError]:
    rows: list[tuple[str, HolderLimits]] = [("limits.default", settings.limits.default)]
    rows += [(f"limits.users.{user}", table) for user, table in settings.limits.users.items()]
    for name, table in rows:
        lifted = "requests_per_minute" in table.model_fields_set and table.requests_per_minute is None
        if table.burst is not None and lifted:
            yield SettingError(f"{name}.burst", "has no effect while requests_per_minute is unlimited")


def _secret_errors(settings: Settings) -> Iterator[SettingError]:
    stores = settings.stores
    rows = [(f'upstream.keys["{key.id}"].file', key.file, 1) for key in settings.upstream.keys]
    rows += [("secrets.other_master_files", path, MASTER_BYTES) for path in settings.secrets.other_master_files]
    rows += [
        (name, path, least)
        for name, path, least in (
            ("secrets.master_file", settings.secrets.master_file, MASTER_BYTES),
            ("secrets.signing_file", settings.secrets.signing_file, 1),
            ("stores.state_password_file", stores.state_password_file, 1),
            ("stores.cache_password_file", stores.cache_password_file, 1),
            ("stores.state_sentinel_password_file", stores.state_sentinel_password_file, 1),
            ("stores.cache_sentinel_password_file", stores.cache_sentinel_password_file, 1),
        )
        if path is not None
    ]
    for name, path, least in rows:
        reason = secret_file_error(path, least)
        if reason is not None:
            yield SettingError(name, reason)


def _touches(name: str, bad: str) -> bool:
    return bad.startswith(name) or name.startswith(bad)
