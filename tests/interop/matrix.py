#!/usr/bin/env python3
"""The interoperation matrix: servers of others, each with and without compression and TLS, against tern.

matrix.py BUILD_FOLDER AUTHORITY_FOLDER [PAGE]

Prints the matrix with the versions of the servers, and fails when a combination fails. A server that is not installed is
listed as such. With PAGE it writes the matrix there (docs/interop.md); the versions are those of the machine.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVERS = HERE / "servers"
BUILD, AUTHORITY = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
CERTIFICATE, KEY = AUTHORITY / "good.pem", AUTHORITY / "good.key"
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs:" + str(BUILD / "npm/node_modules")}
# Debian's, whose packages are asked for; there may be another one in front of it.
PYTHON = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else sys.executable
NODE = shutil.which("node") or shutil.which("nodejs")


def python(library):
    return lambda mode: [PYTHON, str(SERVERS / "echo_server.py"), library, mode]


def node(library):
    return lambda mode: [NODE, str(SERVERS / "echo_server.js"), library, mode]


def program(name):
    return lambda mode: [str(BUILD / name), mode]


def gorilla():
    """Built once, offline, from Debian's packages; None without them."""
    if not shutil.which("go") or not pathlib.Path("/usr/share/gocode/src/github.com/gorilla/websocket").is_dir():
        return None
    target = BUILD / "gorilla_server"
    if not target.exists():
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                       "GOCACHE": str(BUILD / "go-cache")}
        built = subprocess.run(["go", "build", "-o", str(target), str(SERVERS / "echo_server.go")], env=environment,
                               capture_output=True, text=True)
        if built.returncode:
            print(built.stderr)
            return None
    return program("gorilla_server")


def version_of(package):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return found.stdout or "?"


def beast(mode):
    return [str(BUILD / "tern"), "echo", "--port", "0", "--compress" if mode == "compress" else "--no-compress"]


def has_python(library):
    return subprocess.run([PYTHON, "-c", f"import {library}"], capture_output=True).returncode == 0


def has_node(library):
    return NODE and subprocess.run([NODE, "-e", f"require('{library}')"], env=ENVIRONMENT, capture_output=True).returncode == 0


def servers():
    """Name, version, command or None, can compress."""
    for library in ("websockets", "autobahn", "aiohttp", "tornado"):
        yield f"Python {library}", version_of(f"python3-{library}"), has_python(library) and python(library), True
    yield "Node ws", version_of("node-ws"), has_node("ws") and node("ws"), True
    version = "not installed"
    if NODE and not has_node("websocket") and shutil.which("npm"):
        subprocess.run(["npm", "install", "--prefix", str(BUILD / "npm"), "--ignore-scripts", "--no-audit", "--no-fund",
                        "websocket@1.0.35"], capture_output=True, timeout=120)
    if has_node("websocket"):
        version = subprocess.run([NODE, "-p", "require('websocket').version"], env=ENVIRONMENT, capture_output=True, text=True).stdout.strip()
    yield "Node websocket", version, has_node("websocket") and node("websocket"), False
    yield "Boost.Beast (tern echo)", version_of("libboost1.81-dev"), beast, True
    for library, package in (("websocketpp", "libwebsocketpp-dev"), ("libwebsockets", "libwebsockets-dev")):
        built = BUILD / f"{library}_server"
        yield library, version_of(package), built.exists() and program(built.name), True
    yield "Go gorilla", version_of("golang-github-gorilla-websocket-dev"), gorilla(), True


class Process:
    """A server that says its port on the last word of its first line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True)
        line = self.process.stdout.readline()
        digits = line.strip().rsplit(":")[-1]
        self.port = int(digits) if digits.isdigit() else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def probe(port, tls, mode):
    url = f"{'wss' if tls else 'ws'}://localhost:{port}/"
    run = subprocess.run([str(BUILD / "interop_probe"), url, str(AUTHORITY / "root.pem"), mode], capture_output=True, text=True,
                         timeout=120)
    return run.stdout.strip() or f"status {run.returncode}"


NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
server {{ listen 127.0.0.1:{front} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
location / {{ proxy_pass http://127.0.0.1:{back}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection upgrade; }} }} }}
"""
HAPROXY = """global
  log /dev/null local0
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend f
  bind 127.0.0.1:{front} ssl crt {folder}/both.pem
  default_backend b
backend b
  server s 127.0.0.1:{back}
"""


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def through(kind, back, mode):
    """By a TLS front to a plain echo server."""
    import socket

    with tempfile.TemporaryDirectory() as folder:
        front = free_port()
        template, command = (NGINX, ["nginx", "-c"]) if kind == "nginx" else (HAPROXY, ["haproxy", "-db", "-f"])
        path = pathlib.Path(folder) / "conf"
        path.write_text(template.format(folder=folder, front=front, back=back, certificate=CERTIFICATE, key=KEY))
        (pathlib.Path(folder) / "both.pem").write_text(CERTIFICATE.read_text() + KEY.read_text())
        program_path = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin") or command[0]
        process = subprocess.Popen([program_path, *command[1:], str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", front), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            return probe(front, True, mode)
        finally:
            process.kill()
            process.wait()


# What a server cannot do with any client.
SERVERS_FAULT = {("libwebsockets", "compress", True): "its own fault"}
COLUMNS = [("plain", False), ("compress", False), ("plain", True), ("compress", True)]


def cell(result, mode, can_compress):
    """What the matrix shows, and whether it is right."""
    wanted = "ok compressed" if mode == "compress" and can_compress else "ok plain"
    return (("yes" if mode == "plain" or can_compress else "yes, uncompressed"), True) if result == wanted else (result, False)


def certificate_for(command):
    return ["--cert", str(CERTIFICATE), "--key", str(KEY)] if command is beast else [str(CERTIFICATE), str(KEY)]


def row(name, version, command, can_compress):
    cells, right = [], True
    for mode, tls in COLUMNS:
        if (name, mode, tls) in SERVERS_FAULT:
            cells.append(SERVERS_FAULT[name, mode, tls])
            continue
        with Process(command(mode) + (certificate_for(command) if tls else [])) as server:
            text, good = cell(probe(server.port, tls, mode) if server.port else "did not start", mode, can_compress)
        cells.append(text)
        right = right and good
    return [name, version, *cells], right


def main():
    rows, right = [], True
    for name, version, command, can_compress in servers():
        if not command:
            rows.append([name, "not installed here", "", "", "", ""])
            continue
        one, good = row(name, version, command, can_compress)
        rows.append(one)
        right = right and good
    for kind, package in (("nginx", "nginx-light"), ("haproxy", "haproxy")):
        cells = []
        for mode in ("plain", "compress"):
            with Process(beast(mode)) as server:
                text, good = cell(through(kind, server.port, mode), mode, True)
            cells.append(text)
            right = right and good
        rows.append([f"{kind} before Beast", version_of(package), "", "", *cells])
    head = ["server", "version", "ws", "ws, compressed", "wss", "wss, compressed"]
    table = "\n".join("| " + " | ".join(one) + " |" for one in [head, ["---"] * len(head), *rows])
    print(table)
    if len(sys.argv) > 3:
        pathlib.Path(sys.argv[3]).write_text(PAGE.format(table=table))
    return 0 if right else 1


PAGE = """# Interoperation

Servers of others that the tests start on loopback (`tests/interop/`), with the versions of the run that wrote this page. In
each combination messages from 1 byte to 300 KB go there and back as text and as binary, one more in parts, a ping, and a closing
handshake that has to be clean. "Compressed" means that permessage-deflate was negotiated, and is checked too.

{table}

Node `websocket` has no permessage-deflate. libwebsockets 4.1.6 loses bytes of larger compressed messages when it reads them out of
TLS, and ends the connection ("invalid distance too far back"); the client of Python websockets meets the same. It is also tested by Debian's own test server and the mirror protocol
(`interop.libwebsockets`). Proxies have tests of their own (`interop.network`).

The page is written by `tests/interop/matrix.py BUILD AUTHORITY docs/interop.md`; the test `interop.matrix` prints the same table for
the machine that it runs on, and fails for a combination that fails.
"""

sys.exit(main())
