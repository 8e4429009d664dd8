#!/usr/bin/env bash
# Installs tern to a temporary prefix, builds programs against it as its users do, and runs them:
#   install_test.sh BUILD-FOLDER SOURCE-FOLDER TERN-COMMAND AUTHORITY
set -euo pipefail
build=$1 source=$2 tern=$3 authority=$4
work=$(mktemp -d)
servers=()
cleanup() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
value() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
sanitize=$(value TERN_SANITIZE)
flags=${sanitize:+-fsanitize=$sanitize}

cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }

# build FOLDER NAME [OPTION...]: a project of a user's.
build() {
    cmake -S "$1" -B "$work/$2" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_FLAGS="$flags" \
        -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_COMPILER="$(value CMAKE_C_COMPILER)" \
        -DCMAKE_CXX_COMPILER="$(value CMAKE_CXX_COMPILER)" "${@:3}" >"$work/log" 2>&1 &&
        cmake --build "$work/$2" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}
# serve COMMAND...: sets `port` to the number at the end of the first line that it prints.
serve() {
    local line
    exec 3< <(exec "$@" 2>/dev/null)
    servers+=($!)
    read -r -t 20 line <&3
    port=${line##*[: ]}
}

serve "$tern" echo --port 0
uri=ws://127.0.0.1:$port/
build "$source/tests/install/consumer" consumer
"$work/consumer/with_tern" "$uri"
"$work/consumer/with_esp" "$uri"
"$work/consumer/with_testing"
echo "the components work"

# A program's folder of components with the five lines on top.
export EXAMPLE_URI=$uri
for example in plain parts; do
    build "$source/examples/esp/$example" "$example"
    timeout 60 "$work/$example/esp_$example" >"$work/output"
    cat "$work/output"
done
grep -q 'received "one message in four parts"' "$work/output"
build "$source/examples/esp/tls" tls -DEXAMPLE_CERTIFICATES="$authority"
serve /usr/bin/python3 "$source/tests/interop/servers/websockets_server.py" "$authority/good.pem" "$authority/good.key" \
    "$authority/root.pem"
EXAMPLE_URI=wss://127.0.0.1:$port/ timeout 60 "$work/tls/esp_tls" | tee "$work/output"
grep -q 'received "over TLS"' "$work/output"

# A component that is not there is said to be missing.
printf 'cmake_minimum_required(VERSION 3.25)\nproject(x CXX)\nfind_package(tern REQUIRED COMPONENTS nonsense)\n' \
    >"$work/CMakeLists.txt"
if cmake -S "$work" -B "$work/nonsense" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null 2>&1; then
    echo "a component that is not there was found"
    exit 1
fi

# Without CMake.
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tern.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"$(value CMAKE_CXX_COMPILER)" $flags -std=c++20 "$source/tests/install/consumer/with_tern.cpp" -o "$work/with_pc" \
    $(pkg-config --cflags --libs tern)
"$work/with_pc" "$uri"
compiler=$(value CMAKE_C_COMPILER)
[ -z "$flags" ] || [[ $compiler != *clang* ]] || flags+=" -fsanitize-link-c++-runtime"
# shellcheck disable=SC2046
"$compiler" $flags -std=c11 "$source/tests/install/consumer/with_esp.c" -o "$work/with_pc_esp" \
    $(pkg-config --cflags --libs tern-esp)
"$work/with_pc_esp" "$uri"
echo "pkg-config works"
