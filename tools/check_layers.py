#!/usr/bin/env python3
"""Checks who includes whom: the table of docs/architecture.md, section 2, as far as CMake cannot keep it.

check_layers.py [ROOT]        checks the tree; prints file:line for each violation; status 1 if there is one
check_layers.py --self-test   checks that planted violations are found
"""

import pathlib
import re
import sys
import tempfile

# What the core must not know: threads, locks, streams, sockets, files, clocks' hands.
FORBIDDEN_STD = r"<(thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token|iostream|fstream|sstream|ctime)>"
SYSTEM = r"<(sys/|netinet/|arpa/|unistd|poll|fcntl|netdb|pthread|signal|csignal|time\.h)"

# folder -> [(pattern of what is forbidden in an include line, what to say)]
FORBIDDEN = {
    "include/tern": [(r"<(asio|boost|openssl|uriparser|simdjson|fmt)", "the public headers need nothing but the standard library"),
                     (r'"', "the public headers include each other as <tern/...>")],
    "src/core": [(FORBIDDEN_STD, "the core has no threads, locks, streams or files"),
                 (SYSTEM, "the core knows no system calls"),
                 (r"<(asio|boost|openssl|fmt)", "the core knows no driver and no TLS library"),
                 (r"<tern/(?!(error|message|config|core|tls|tls_info|trace)\.hpp|error_table\.inc)",
                  "the core sees error, message, config, core and tls only")],
    "src/tls": [(r"<(asio|boost|sys/|netinet/)", "TLS libraries work on bytes, without sockets"),
                (r"<tern/(?!(core|tls)\.hpp)", "a TLS library sees tern/core.hpp and tern/tls.hpp only")],
    "src/driver": [(r"<(boost|openssl|uriparser|simdjson)", "the driver knows Asio and the core, no library of the core")],
    "src/esp": [(r"<(asio|boost|openssl|uriparser|simdjson|fmt)", "Espressif's API stands on the public headers"),
                (r"<tern/core\.hpp>", "Espressif's API stands on tern::Client")],
    "src/cli": [(r"<(asio|openssl|uriparser|simdjson)", "the command stands on the public headers")],
    "src/testing": [(r"<(asio|boost|openssl)", "the simulator has a codec and a world of its own"),
                    (r"<tern/(client|tern)\.hpp>", "the simulator is a driver: it sees tern/core.hpp")],
    "tests/sim": [(r"<(asio|boost|openssl)", "the simulator has a codec and a world of its own"),
                  (r"<tern/(client|tern)\.hpp>", "the simulator is a driver: it sees tern/core.hpp")],
}

# The straight line inside src/core: a file includes only what stands before it.
ORDER = ["fifo", "rare", "memory", "buffer", "error", "message", "address", "quote", "credentials", "timer_table", "url", "http_date", "http_head", "http_body",
         "http_refusal", "redirect", "extensions", "deflate", "mask", "utf8", "handshaker", "proxy_url", "proxy_rules", "proxy_connect", "proxy_socks5", "upgrade",
         "tls_layer", "frame", "frame_trace", "mask_keys", "message_reader", "outbox", "keepalive", "round_trips", "session",
         "connection", "dialer", "connect_attempt", "reconnect", "backlog", "client_core"]

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"].*[>"])')


def sources(root, folder):
    for path in sorted((root / folder).glob("*")):
        if path.suffix in (".hpp", ".cpp", ".inc"):
            yield path


def check(root):
    problems = []
    for folder, rules in FORBIDDEN.items():
        for path in sources(root, folder):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                where = f"{path.relative_to(root)}:{number}"
                if folder in ("src/core", "src/tls") and re.search(r"\bclock::now\(|::now\(\)", line):
                    problems.append(f"{where}: time comes in by value; nobody asks a clock here")
                found = INCLUDE.match(line)
                if not found:
                    continue
                target = found.group(1)
                if target.startswith('"') and "/" in target and not (folder == "src/esp" and "freertos/" in target):
                    problems.append(f"{where}: {target} leaves the folder")
                if path.name == "async_client.hpp" and target.startswith("<asio/"):
                    continue  # the one public header that is for users of Asio
                for pattern, why in rules:
                    if re.match(pattern, target):
                        problems.append(f"{where}: {target}: {why}")
                if folder == "src/core" and target.startswith('"'):
                    problems += check_order(path, target.strip('"'), where)
    return problems


def check_order(path, target, where):
    own, other = path.stem, pathlib.Path(target).stem
    for name in (own, other):
        if name not in ORDER:
            return [f"{where}: {name} has no place in the order of src/core (tools/check_layers.py)"]
    if own != other and ORDER.index(other) > ORDER.index(own):
        return [f"{where}: {own} comes before {other} and must not include it"]
    return []


def self_test():
    planted = {
        "include/tern/bad.hpp": "#include <asio.hpp>",
        "src/core/url.cpp": "#include <mutex>",
        "src/core/mask.cpp": "#include <sys/socket.h>",
        "src/core/frame.cpp": '#include "session.hpp"',
        "src/core/utf8.cpp": "auto now = std::chrono::steady_clock::now();",
        "src/core/stranger.cpp": '#include "memory.hpp"',
        "src/tls/bad.cpp": "#include <tern/client.hpp>",
        "src/driver/bad.cpp": '#include "../core/session.hpp"',
        "src/esp/bad.cpp": "#include <asio.hpp>",
        "src/cli/bad.cpp": "#include <openssl/evp.h>",
        "tests/sim/bad.cpp": "#include <tern/client.hpp>",
    }
    for name, line in planted.items():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            path = root / name
            path.parent.mkdir(parents=True)
            path.write_text(line + "\n")
            if len(check(root)) != 1:
                print(f"not found: {name}: {line}")
                return 1
    print(f"{len(planted)} planted violations found")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(problems) or "the layers are kept")
    return 1 if problems else 0


sys.exit(main())
