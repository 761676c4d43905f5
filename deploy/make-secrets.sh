#!/bin/sh
# Make the secret files that compose.yaml mounts, each readable only by the services that need it. Run it as root, once:
#   sudo deploy/make-secrets.sh
# Existing files are not changed. The upstream key is asked for, or read from standard input; it is never an argument.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

# The gateway is 10001 and the owner. Valkey's group (999) reads its password; Grafana (472) owns its own.
settle() { chown "$2" "$1"; chmod "$3" "$1"; }
random() { [ -s "$1" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$1"; }

random master
random state_password
random cache_password
random grafana_password
if [ ! -s upstream_key ]; then
    if [ -t 0 ]; then
        printf 'The upstream key (not shown): ' >&2
        stty -echo
        trap 'stty echo' EXIT
    fi
    IFS= read -r key
    printf '%s' "$key" >upstream_key
fi
[ -s upstream_key ] || { echo "The upstream key is empty; nothing can be sent with it." >&2; rm -f upstream_key; exit 1; }

settle master 10001:10001 0400
settle upstream_key 10001:10001 0400
settle state_password 10001:999 0440
settle cache_password 10001:999 0440
settle grafana_password 472:0 0400
