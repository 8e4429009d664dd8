#!/usr/bin/env bash
# exports.sh LIBRARY: the library shows what is public, and nothing of its inside or of the libraries it uses.
set -euo pipefail
exported=$(nm -DC --defined-only "$1" | cut -d ' ' -f 3-)
status=0
for name in 'tern::Client::send_text(' 'tern::ClientCore::start(' 'tern::Loop::Loop(' 'tern::AsyncClient::AsyncClient(' \
    'tern::error_table(' 'typeinfo for tern::Crypto' 'typeinfo for tern::Tracer'; do
    grep -qF "$name" <<<"$exported" || { echo "not exported: $name"; status=1; }
done
# Asio marks its own as visible; weak symbols of templates of the standard library are every C++ library's;
# an Impl goes with its class.
inside=$(grep -E '(^|[ :(])(tern::(core|driver|tls)::|simdjson)' <<<"$exported" |
    grep -vE 'std::|tern::tls::(Engine|Context|Provider)\b|::Impl::' || true)
[ -z "$inside" ] || { printf 'exported, but not public:\n%s\n' "$inside" | head -n 20; status=1; }
exit $status
