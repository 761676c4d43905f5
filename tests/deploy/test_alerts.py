"""Alerts: each one is actionable, has a runbook section, and is shown to fire and not to fire."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command, Group

from gateway.cli.main import main
from gateway.settings import Settings
from gateway.settings.names import leaves, tables

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0]["rules"]
TEST_FILES = sorted(path.name for path in PROMETHEUS.glob("*_test.yml"))
TESTS: list[dict[str, Any]] = [
    test for name in TEST_FILES for test in yaml.safe_load((PROMETHEUS / name).read_text())["tests"]
]
GUIDE = (ROOT / "docs/operating.md").read_text()
ANCHORS = {title.lower(): title for title in re.findall(r"^### (\w+)$", GUIDE, re.MULTILINE)}
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))


@each_rule
def test_an_alert_says_how_urgent_it_is_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert len(rule["annotations"]["summary"]) < 130
    assert rule["annotations"]["description"].count(". ") >= 1
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/operating.md"
    assert ANCHORS[anchor] == rule["alert"]


def test_the_runbook_has_every_alert_and_no_other() -> None:
    assert sorted(ANCHORS.values()) == sorted(rule["alert"] for rule in RULES)
    links = re.findall(r"\(#(esmgateway\w+)\)", GUIDE)
    assert set(links) <= ANCHORS.keys()


@pytest.mark.parametrize("title", ANCHORS.values())
def test_the_runbook_says_of_each_alert_what_it_means_what_to_check_and_what_to_do(title: str) -> None:
    section = re.split(r"^#", GUIDE.split(f"### {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    assert re.findall(r"^- \*\*(\w+):\*\* ", section, re.MULTILINE) == ["Meaning", "Check", "Do"]
    assert len(section.split()) >= 25


def firing(rule: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(test, expected samples) for each moment at which an alert is evaluated."""
    asked = f'ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}}'
    return [
        (test, moment["exp_samples"])
        for test in TESTS
        for moment in test.get("promql_expr_test", ())
        if moment["expr"] == asked
    ]


@each_rule
def test_an_alert_is_shown_to_fire_for_one_gateway_and_to_leave_others_alone(rule: dict[str, Any]) -> None:
    moments = firing(rule)
    assert any(not expected for _, expected in moments), "never shown to be silent"
    fired = [(test, sample["labels"]) for test, expected in moments for sample in expected]
    assert fired, "never shown to fire"
    for test, labels in fired:
        assert f'severity="{rule["labels"]["severity"]}"' in labels
        others = {name for each in test["input_series"] for name in re.findall(r'instance="(\w+)"', each["series"])}
        assert others - set(re.findall(r'instance="(\w+)"', labels))


def test_promtool_is_given_every_file_of_tests() -> None:
    line = f"test rules {' '.join(TEST_FILES)}\n"
    assert line in (PROMETHEUS / "check.sh").read_text()


@each_rule
def test_what_must_last_does_not_wait_on_what_is_over(rule: dict[str, Any]) -> None:
    """A sum over minutes stays high for these minutes: with a `for` it needs a look at the last one or two, too.

    Not needed where a gauge is looked at, where the sum is about a trend of half an hour or more, and where deaths of
    workers are a matter for tomorrow also when they have ended.
    """
    if rule["alert"] == "EsmGatewayWorkersFailing":
        return
    windows = re.findall(r"(?:rate|increase)\(.*?\[(\d+)m\]", rule["expr"])
    pause = int(rule.get("for", "0m").removesuffix("m").removesuffix("h"))
    if pause and windows and "esmgw_request_duration" not in rule["expr"] and min(map(int, windows)) < 30:
        assert min(map(int, windows)) <= min(2, pause), rule["alert"]


def test_what_wakes_people_is_what_callers_or_security_suffer_from_now() -> None:
    pages = {rule["alert"].removeprefix("EsmGateway") for rule in RULES if rule["labels"]["severity"] == "page"}
    assert pages == {
        "Down",
        "ErrorRatioHigh",
        "StateStoreErrors",
        "StateClosed",
        "ForgedRecords",
        "AuditFailures",
        "BadCacheEntries",
        "UnsafeAnswer",
        "NoUpstreamKeyReady",
        "BreakerOpen",
        "NoWorkerRunning",
    }


def test_prometheus_reads_the_rules_and_scrapes_the_job_that_they_are_about() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert config["rule_files"] == ["rules.yml"]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "esm-gateway"
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert job["static_configs"][0]["targets"] == [f"gateway:{Settings().listen.metrics_port}"]


def commands(group: Group, prefix: str = "") -> set[str]:
    found = set()
    for name in group.list_commands(None):  # type: ignore[arg-type]
        command: Command | None = group.get_command(None, name)  # type: ignore[arg-type]
        found.add(f"{prefix}{name}")
        if isinstance(command, Group):
            found |= commands(command, f"{prefix}{name} ")
    return found


TEXTS = [GUIDE, *(rule["annotations"]["description"] for rule in RULES)]


def test_operators_are_sent_to_commands_that_exist() -> None:
    known = commands(main)
    said = {words for text in TEXTS for words in re.findall(r"esm-gateway ((?:[a-z-]+)(?: [a-z-]+)?)", text)}
    unknown = {words for words in said if words not in known and words.split()[0] not in known}
    grouped = {words for words in said if words.split()[0] in {"config", "keys", "audit", "cache"}}
    assert unknown == set()
    assert grouped <= known


def test_operators_are_sent_to_settings_that_exist() -> None:
    known = {leaf.name for leaf in leaves()} | set(tables())
    parts = "|".join(Settings.model_fields)
    said = {name for text in TEXTS for name in re.findall(rf"`((?:{parts})\.\w+)`", text)}
    assert len(said) > 8
    assert said <= known
