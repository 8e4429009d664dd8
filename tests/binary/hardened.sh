#!/usr/bin/env bash
# hardened.sh FILE...: position-independent, read-only after relocation, bound at start, guarded stack and library calls.
set -euo pipefail
status=0
missing() { echo "$1: $2"; status=1; }
for file; do
    headers=$(readelf -Wlhd "$file")
    symbols=$(nm -D --undefined-only "$file")
    grep -qE 'Type: +DYN' <<<"$headers" || missing "$file" "not position-independent"
    grep -q GNU_RELRO <<<"$headers" || missing "$file" "no GNU_RELRO"
    grep -qE 'BIND_NOW|Flags: NOW' <<<"$headers" || missing "$file" "not bound at start (-z now)"
    grep -qE 'GNU_STACK.* RW ' <<<"$headers" || missing "$file" "an executable stack"
    grep -q __stack_chk_fail <<<"$symbols" || missing "$file" "no stack protector"
    grep -qE '__[a-z]+_chk(@|$)' <<<"$symbols" || missing "$file" "no _FORTIFY_SOURCE"
done
exit $status
