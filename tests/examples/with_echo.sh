#!/usr/bin/env bash
# Runs a program against a fresh echo server: with_echo.sh TERN PROGRAM [ARGUMENT...]; the server's URL is the last argument.
set -euo pipefail
tern=$1
shift
exec 3< <(exec "$tern" echo --port 0)
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
read -r -t 20 line <&3
url=${line##* }
timeout 60 "$@" "$url"
