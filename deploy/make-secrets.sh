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
die() { echo "$1" >&2; exit 1; }
settle() { chown "$2" "$1" || die "$1 cannot be given to $2: run this as root."; chmod "$3" "$1"; }
random() {
    [ -s "$1" ] && return
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$1"
    [ "$(wc -c <"$1")" -eq 64 ] || { rm -f "$1"; die "$1 could not be made: od gave no 32 bytes of /dev/urandom."; }
}

random master
settle master 10001:10001 0400
random state_password
settle state_password 10001:999 0440
random cache_password
settle cache_password 10001:999 0440
random grafana_password
settle grafana_password 472:0 0400

if [ ! -s upstream_key ]; then
    if [ -t 0 ]; then
        printf 'The upstream key (not shown): ' >&2
        stty -echo
        trap 'stty echo; echo >&2' EXIT
    fi
    # `read` fails where the line does not end with a newline, and has read it all the same.
    IFS= read -r key || true
    key=$(printf '%s' "$key" | tr -d ' \t\r')
    [ -n "$key" ] || die "The upstream key is empty; nothing can be sent with it. The other secrets are made: run this again."
    printf '%s' "$key" >upstream_key
fi
settle upstream_key 10001:10001 0400
