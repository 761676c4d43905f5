#!/usr/bin/env bash
# Check the scrape settings, the alert rules, their tests and the dashboards' queries with promtool.
# Where promtool is missing it is unpacked from Debian's package `prometheus`, without installing or starting a service.
# On other systems install promtool, or name it in PROMTOOL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
store=../../.data/promtool

unpack() {
    command -v apt-get >/dev/null || { echo "promtool is missing and this is not Debian; set PROMTOOL" >&2; exit 1; }
    mkdir -p "$store"
    (
        cd "$store"
        # Usually the package list is missing or too old; only root may update it.
        apt-get download -q prometheus >&2 || { apt-get update -q >&2 && apt-get download -q prometheus >&2; }
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
        rm -f prometheus_*.deb
    )
}

promtool=${PROMTOOL:-$(command -v promtool || echo "$store/usr/bin/promtool")}
[ -x "$promtool" ] || unpack
"$promtool" check config prometheus.yml
"$promtool" test rules rules_test.yml rules_timing_test.yml
panels=$(mktemp --suffix=.yml)
trap 'rm -f "$panels"' EXIT
python3 panels_as_rules.py >"$panels"
"$promtool" check rules "$panels"
