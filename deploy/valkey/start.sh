#!/bin/sh
# start.sh CONF PASSWORD_FILE DIRECTORY: start Valkey with a password from a file.
# Valkey reads passwords only from its configuration, so both are combined in DIRECTORY, a tmpfs. The password is in no
# argument and no environment variable, where other processes could read it.
set -eu
umask 077
{
    cat "$1"
    printf 'requirepass %s\n' "$(cat "$2")"
} >"$3/valkey.conf"
exec valkey-server "$3/valkey.conf"
