"""One reading of the settings tells everything that is wrong, and never a value."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.endpoints import generate_tensor
from gateway.settings import InvalidSettings, Settings, load, read

SECRET = "an-upstream-key-of-somebody-else"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return secret(tmp_path / "key", SECRET)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


def file(directory: Path, text: str, keys: str = '[[upstream.keys]]\nid = "lab"\nfile = "key"\n') -> Path:
    path = directory / "gateway.toml"
    path.write_text(f"{text}\n{keys}")
    return path


def keys(path: Path) -> dict[str, str]:
    return {"GATEWAY_UPSTREAM__KEYS": json.dumps([{"id": "lab", "file": str(path)}])}


def errors(path: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        load(path, environ)
    return {error.name: error.reason for error in caught.value.errors}


def test_without_a_file_every_setting_has_its_default(key: Path) -> None:
    settings = load(None, keys(key))
    assert settings.model_copy(update={"upstream": Settings().upstream}) == Settings()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path, key: Path) -> None:
    path = file(tmp_path, "[listen]\nport = 9001\nworkers = 3")
    loaded = read(path, {"GATEWAY_LISTEN__PORT": "9002"})
    assert (loaded.settings.listen.port, loaded.settings.listen.workers) == (9002, 3)
    origins = [loaded.origins[f"listen.{name}"] for name in ("port", "workers", "host")]
    assert origins == ["GATEWAY_LISTEN__PORT", "file", "default"]


def test_the_file_can_be_named_by_a_variable_and_an_option_wins_over_it(tmp_path: Path, key: Path) -> None:
    (tmp_path / "other").mkdir()
    secret(tmp_path / "other" / "key", SECRET)
    named = file(tmp_path / "other", "[listen]\nport = 1001")
    option = file(tmp_path, "[listen]\nport = 1002")
    environ = {"GATEWAY_CONFIG": str(named)}
    assert load(None, environ).listen.port == 1001
    assert load(option, environ).listen.port == 1002


def test_all_faults_of_all_kinds_are_told_at_once(tmp_path: Path, key: Path) -> None:
    secret(tmp_path / "open", SECRET, 0o644)
    path = file(
        tmp_path,
        'prot = 1\n[listen]\nport = "8080"\n[upstream]\nfirst_byte_s = 700\n[cache]\nclasses = ["sampled"]\n'
        '[limits.users.ada]\nconcurrent = "lots"\n[stores]\nstate_url = "redis://store"',
        '[[upstream.keys]]\nid = "lab"\nfile = "open"\n[[upstream.keys]]\nid = "other"\nfile = "missing"\n',
    )
    told = errors(path, {"GATEWAY_LISEN__PORT": "1", "GATEWAY_BREAKER__FAILURES": "many"})
    assert set(told) == {
        "prot",
        "listen.port",
        "upstream.first_byte_s",
        "cache.classes[0]",
        "limits.users.ada.concurrent",
        "secrets.master_file",
        'upstream.keys["lab"].file',
        'upstream.keys["other"].file',
        "GATEWAY_LISEN__PORT",
        "breaker.failures",
    }


def test_one_users_bodies_get_no_more_room_than_all_users_have(tmp_path: Path, key: Path) -> None:
    assert set(errors(file(tmp_path, "[request]\nbodies_bytes = 1000"), {})) == {"request.user_bodies_bytes"}
    equal = load(file(tmp_path, "[request]\nbodies_bytes = 1000\nuser_bodies_bytes = 1000"), {})
    assert equal.request.user_bodies_bytes == 1000


def test_a_fault_never_repeats_what_was_given(tmp_path: Path, key: Path) -> None:
    text = (
        f'[upstream]\nurl = "http://{SECRET}@host"\nretries = "{SECRET}"\n[stores]\nstate_url = "redis://:{SECRET}@h"'
    )
    told = errors(file(tmp_path, text), {"GATEWAY_LISTEN__PORT": SECRET})
    assert {"upstream.url", "upstream.retries", "stores.state_url", "listen.port"} <= set(told)
    assert SECRET not in repr(told)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("GATEWAY_LISTEN__PROT", "GATEWAY_LISTEN__PORT"),
        ("GATEWAY_LISTEN_PORT", "GATEWAY_LISTEN__PORT"),
        ("GATEWAY_CONFG", "GATEWAY_CONFIG"),
    ],
)
def test_an_unknown_variable_is_a_fault_that_names_the_one_probably_meant(key: Path, name: str, meant: str) -> None:
    assert errors(None, {**keys(key), name: "1"}) == {name: f"there is no such setting; did you mean {meant}?"}


def test_an_unknown_setting_of_the_file_names_the_one_probably_meant(tmp_path: Path, key: Path) -> None:
    told = errors(file(tmp_path, "[breaker]\nfailure = 3"), {})
    assert told == {"breaker.failure": "there is no such setting; did you mean breaker.failures?"}


def test_variables_that_kubernetes_sets_for_a_service_named_gateway_are_no_settings(key: Path) -> None:
    links = {
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT_HTTP": "8080",
        "GATEWAY_PORT": "tcp://10.0.0.1:8080",
        "GATEWAY_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load(None, {**keys(key), **links}).listen.port == 8080
    assert "GATEWAY_PORT" in errors(None, {**keys(key), "GATEWAY_PORT": "9000"})


@pytest.mark.parametrize(
    "text, wrong",
    [
        ('port = "8080"', "whole number"),
        ("port = 8080.5", "whole number"),
        ("port = true", "whole number"),
        ("port = 70000", "at most 65535"),
    ],
)
def test_a_port_in_the_file_is_a_number_and_nothing_else(tmp_path: Path, key: Path, text: str, wrong: str) -> None:
    assert wrong in errors(file(tmp_path, f"[listen]\n{text}"), {})["listen.port"]


def test_variables_carry_lists_and_tables_as_json(key: Path) -> None:
    environ = {
        "GATEWAY_CACHE__CLASSES": '["exact"]',
        "GATEWAY_MODELS": '{"esmc": 0.5}',
        "GATEWAY_CACHE__ENABLED": "false",
    }
    settings = load(None, {**keys(key), **environ})
    assert (settings.cache.classes, dict(settings.models), settings.cache.enabled) == (("exact",), {"esmc": 0.5}, False)


def test_an_empty_variable_counts_as_not_set(key: Path) -> None:
    assert load(None, {**keys(key), "GATEWAY_STORES__STATE_URL": ""}).stores.state_url is None


def test_paths_of_the_file_start_at_its_directory_whatever_the_working_directory(tmp_path: Path, key: Path) -> None:
    settings = load(file(tmp_path, 'data_dir = "data"'), {})
    assert settings.data_dir == tmp_path / "data"
    assert settings.upstream.keys[0].file == key
    assert settings.audit_file == tmp_path / "data" / "audit" / "audit.jsonl"


def test_broken_toml_is_told_with_its_line_and_a_missing_file_with_its_name(tmp_path: Path) -> None:
    assert "line 1" in errors(file(tmp_path, "[listen", ""), {})[str(tmp_path / "gateway.toml")]
    assert "No such file" in errors(tmp_path / "none.toml", {})[str(tmp_path / "none.toml")]


@pytest.mark.parametrize(
    "text, name",
    [
        ("[admission]\nreservation_lease_s = 629", "admission.reservation_lease_s"),
        ("[upstream]\nconnect_s = 601\n", "upstream.connect_s"),
        ("[upstream]\nask_pickle = true", "upstream.ask_pickle"),
        ('[upstream]\nurl = "ftp://host"', "upstream.url"),
        ('[upstream]\nurl = "https://host/path"', "upstream.url"),
        ("[listen]\nmetrics_port = 8080", "listen.metrics_port"),
        ("[cache]\nclasses = []", "cache.classes"),
        ('[stores]\ncache_url = "memcached://host"', "stores.cache_url"),
        ('[limits.default]\nrequests_per_minute = "unlimited"\nburst = 3', "limits.default.burst"),
    ],
)
def test_values_that_cannot_be_meant_together_are_refused(tmp_path: Path, key: Path, text: str, name: str) -> None:
    assert list(errors(file(tmp_path, text), {})) == [name]


def test_two_upstream_keys_need_two_names_and_none_is_too_few(tmp_path: Path, key: Path) -> None:
    twice = '[[upstream.keys]]\nid = "lab"\nfile = "key"\n' * 2
    assert "given twice" in errors(file(tmp_path, "", twice), {})["upstream.keys"]
    assert "at least one" in errors(file(tmp_path, "", ""), {})["upstream.keys"]


def test_faulty_keys_do_not_hide_the_faults_of_those_beside_them(tmp_path: Path) -> None:
    bad = '[[upstream.keys]]\nfile = "none"\n'
    told = errors(file(tmp_path, "", bad * 2 + '[[upstream.keys]]\nid = "lab"\nfile = "none"\n'), {})
    assert set(told) == {"upstream.keys[0].id", "upstream.keys[1].id", 'upstream.keys["lab"].file'}


def test_a_consequence_of_a_fault_is_not_reported_as_another(tmp_path: Path) -> None:
    assert list(errors(file(tmp_path, "", '[[upstream.keys]]\nfile = "key"\n'), {})) == ["upstream.keys[0].id"]
    told = errors(file(tmp_path, "[models]\nesm3 = -1", ""), {})
    assert set(told) == {"models.esm3", "upstream.keys"}


def test_the_settings_cannot_be_changed_and_hold_no_secret(key: Path) -> None:
    settings = load(None, keys(key))
    with pytest.raises(ValueError, match="frozen"):
        settings.listen.port = 1  # type: ignore[misc]
    assert SECRET not in settings.model_dump_json() + repr(settings)


def test_a_user_has_the_default_ceilings_but_for_those_given(tmp_path: Path, key: Path) -> None:
    text = '[limits.default]\nconcurrent = 4\n[limits.users.ada]\nunits_per_day = 5\nrequests_per_minute = "unlimited"'
    ada = load(file(tmp_path, text), {}).limits.limit_config().users["ada"]
    assert (ada.requests_per_minute, ada.concurrent, ada.units_per_day) == (None, 4, 5)


def test_what_a_worker_is_handed_means_the_same(tmp_path: Path, key: Path) -> None:
    text = '[listen]\nport = 9001\n[limits.users.ada]\nunits_per_day = "unlimited"'
    settings = load(file(tmp_path, text), {})
    handed = Settings.model_validate_json(settings.model_dump_json(exclude_unset=True))
    assert handed == settings
    assert handed.limits.limit_config() == settings.limits.limit_config()


def test_every_dated_set_of_defaults_can_be_chosen(key: Path) -> None:
    for name in generate_tensor.DEFAULTS:
        assert load(None, {**keys(key), "GATEWAY_REQUEST__DEFAULTS": name}).request.defaults == name


@pytest.mark.parametrize("role", ["state", "cache"])
def test_a_sentinels_password_is_for_a_url_with_sentinels_and_a_file_like_other_secrets(
    tmp_path: Path, key: Path, role: str
) -> None:
    secret(tmp_path / "of-sentinels", "hush")
    secret(tmp_path / "master", "m" * 40)

    def told(url: str, name: str = "of-sentinels") -> dict[str, str]:
        text = (
            f'[stores]\n{role}_url = "{url}"\n{role}_sentinel_password_file = "{name}"\n'
            '[secrets]\nmaster_file = "master"\n'
        )
        return errors(file(tmp_path, text), {})

    setting = f"stores.{role}_sentinel_password_file"
    assert "names none" in told("redis://store")[setting]
    assert set(told("redis+sentinel://a,b/esm", "missing")) == {setting}
    good = file(tmp_path, f'[stores]\n{role}_url = "redis+sentinel://a/esm"\n[secrets]\nmaster_file = "master"\n')
    assert load(good, {}).stores.state_sentinel_password_file is None
