#!/bin/sh
# start.sh CONF PASSWORD_FILE DIRECTORY: start Valkey with a password that stands in a file.
# Valkey reads passwords from its configuration only, so both are put together in DIRECTORY, which is memory. The
# password is in no argument and no environment variable, where every process of the machine could read it.
set -eu
umask 077
{
    cat "$1"
    printf 'requirepass %s\n' "$(cat "$2")"
} >"$3/valkey.conf"
exec valkey-server "$3/valkey.conf"
