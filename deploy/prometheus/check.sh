#!/usr/bin/env bash
# Check the scrape settings, the alert rules, the tests of the rules and the dashboard's queries with Prometheus's own
# promtool.
# Where promtool is missing it is taken out of Debian's package `prometheus`: unpacked beside nothing else, so that no
# service is installed or started. Any other system: install promtool yourself, or name it in PROMTOOL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
store=../../.data/promtool

unpack() {
    command -v apt-get >/dev/null || { echo "promtool is missing and this is not Debian; set PROMTOOL" >&2; exit 1; }
    mkdir -p "$store"
    (
        cd "$store"
        # A package list that is missing or too old is the usual reason; only root may renew it.
        apt-get download -q prometheus >&2 || { apt-get update -q >&2 && apt-get download -q prometheus >&2; }
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
        rm -f prometheus_*.deb
    )
}

promtool=${PROMTOOL:-$(command -v promtool || echo "$store/usr/bin/promtool")}
[ -x "$promtool" ] || unpack
"$promtool" check config prometheus.yml
"$promtool" test rules rules_test.yml
panels=$(mktemp --suffix=.yml)
trap 'rm -f "$panels"' EXIT
python3 panels_as_rules.py >"$panels"
"$promtool" check rules "$panels"
