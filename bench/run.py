#!/usr/bin/env python3
"""Compares tern with its peers and with bare sockets.

    bench/run.py BUILD-FOLDER [--full] [--rows TEXT] [--drivers TEXT] [--rounds N] [--beside BUILD-FOLDER]
        [--json FILE] [--svg FILE] [--growth-svg FILE]
    bench/run.py --from FILE [--svg FILE] [--growth-svg FILE]     prints what was measured earlier

All drivers take turns in each round, in another order each time, so that what the machine does meanwhile hits all of
them. The server has one core, the client another. What counts is the CPU time of the client's process per message (for
`spin` its latency, for `idle` its memory), as a multiple of what the bare socket took in the same round; printed are
medians and, in brackets, the least and the largest ratio of all rounds.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import pictures
from report import BARE, BESIDE, MEANS, PEERS, TERN, print_row, print_tables

# Binaries that are not named like their drivers.
PROGRAMS = {each: ["bench_bare", "--form", each] for each in BARE + MEANS}
# Stands for the file with the root certificate of the server.
ROOT = "ROOT"
SIZES = {16: "16 B", 32: "32 B", 128: "128 B", 1024: "1 KiB", 16384: "16 KiB", 1 << 20: "1 MiB"}


class Row:
    def __init__(self, name, arguments, must, aim=None, measure="cpu_ns", drivers=None, unit="ns", count=None, warm=None, pin=True):
        self.name, self.arguments, self.must, self.aim, self.measure = name, arguments, must, aim, measure
        self.drivers, self.unit, self.count, self.warm, self.pin = drivers, unit, count, warm, pin


def rows():
    result = []

    def add(name, arguments, *rest, **more):
        result.append(Row(name, arguments, *rest, **more))

    def sized(what, row, sizes, extra=()):
        for size, must, aim in sizes:
            add(f"{what} {SIZES[size]}", ["--row", row, "--size", str(size), *extra], must, aim)

    sized("receive", "receive", [(16, 5, 3), (128, 2, 1.5), (1024, 1.25, 1.1), (16384, 1.1, 1), (1 << 20, 1.1, 1)])
    sized("receive text", "receive", [(128, 3, 2), (16384, 1.5, 1.3)], ["--kind", "text"])
    sized("send", "send", [(16, 5, 3), (128, 2.5, 1.6), (1024, 1.8, 1.4), (16384, 1.6, 1.3), (1 << 20, 1.5, 1.3)])
    # Outside of handlers, with both cores for the client.
    for name, form in (("one by one", "thread"), ("with more", "more"), ("by 4 threads", "threads")):
        add(f"send 16 B {name}", ["--row", "send", "--size", "16"], None, drivers=["bare", f"tern {form}"], pin=False)
    add("echo 32 B", ["--row", "echo", "--size", "32"], 1.15, 1.05, drivers=[*BARE, "edge", *TERN, *PEERS])
    spinning = ["bare", "bare spin", "tern loop spin"]
    add("echo 32 B, latency", ["--row", "echo", "--size", "32"], 0.45, 0.38, "latency_p50", spinning)
    sized("wss receive", "receive", [(16, 3, 2), (128, 1.5, 1.25), (16384, 1.1, 1)], ["--tls"])
    sized("wss send", "send", [(16, 5, 3), (128, 2, 1.5), (16384, 1.6, 1.3), (1 << 20, 1.3, 1.2)], ["--tls"])
    sized("deflate receive", "receive", [(1024, 1.1, 1.03), (16384, 1.05, 1.03)], ["--kind", "deflate"])
    connecting = ["bare", "tern loop", "beast sync", "beast async", "websocketpp", "libwebsockets", "poco", "qt"]
    add("connect ws", ["--row", "connect"], 1.15, 1.08, drivers=["bare", "edge", *connecting[1:]])
    add("connect wss", ["--row", "connect", "--tls"], 1.1, 1.08, drivers=connecting)
    # As programs should connect: the server's chain is verified, unless a session is resumed.
    for name, extra in (("verified", []), ("resumed", ["--resume"])):
        add(f"connect wss {name}", ["--row", "connect", "--tls", "--root", ROOT, *extra], 1.1, 1.08, drivers=["bare", "tern loop"])
    for tls, names in (([], "ws"), (["--tls"], "wss")):
        for connections in (1000, 10000):
            arguments = ["--row", "storm", "--connections", str(connections), *tls]
            add(f"{names} storm of {connections:,}", arguments, None, None, drivers=["bare", "tern loop"], count=1, warm=1)
    for tls, names, must in (([], "ws", 4), (["--tls"], "wss", 26)):
        arguments = ["--row", "idle", "--connections", "1000", *tls]
        add(f"idle {names}, silent", arguments, must, None, "silent_bytes", connecting, "KiB", 1, 1)
        add(f"idle {names}, after an echo", arguments, must, None, "echoed_bytes", connecting, "KiB", 1, 1)
    growing = ["bare", *MEANS, "tern loop"]
    for connections in (1, 10, 100, 1000, 10000):
        for row, size in (("receive", "128"), ("echo", "32")):
            arguments = ["--row", row, "--size", size, "--connections", str(connections)]
            count = {"receive": 2_000_000, "echo": 40_000}[row]
            add(f"{row} {size} B on {connections:,}", arguments, None, None, "cpu_ns", growing, "ns", count, max(connections, 2000))
    return result


class Server:
    def __init__(self, folder, core):
        self.root = tempfile.NamedTemporaryFile(suffix=".pem")
        self.process = subprocess.Popen(
            pinned(core) + [os.path.join(folder, "bench_server"), "--root", self.root.name], stdout=subprocess.PIPE, text=True
        )
        _, self.port, self.secure_port, self.chained_port = self.process.stdout.readline().split()
        self.last = None
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.last = json.loads(line)

    def load(self):
        """How much of the time of the last task the server was busy."""
        time.sleep(0.002)
        return self.last["cpu_ns"] / max(self.last["wall_ns"], 1) if self.last else None

    def stop(self):
        self.process.kill()
        self.process.wait()


def pinned(core):
    return ["taskset", "-c", str(core)] if os.cpu_count() > 1 else []


class Bench:
    def __init__(self, folder, beside, seconds):
        self.folder, self.beside, self.seconds = folder, beside, seconds
        self.server = Server(folder, 0)
        self.counts = {}
        self.missing = set()

    def command(self, driver):
        folder = self.folder
        if driver.endswith(BESIDE):
            folder, driver = self.beside, driver.removesuffix(BESIDE)
        words = driver.split()
        if driver in PROGRAMS:
            program, *form = PROGRAMS[driver]
        elif words[-1] == "spin":
            program, *form = [f"bench_{words[0]}", "--form", "bare" if words[0] == "bare" else words[1], "--spin"]
        else:
            program, form = f"bench_{words[0]}", ["--form", words[1]] if len(words) > 1 else []
        return os.path.join(folder, program), form

    def run(self, driver, row, count, warm):
        program, form = self.command(driver)
        if not os.path.exists(program):
            self.missing.add(driver)
            return None
        port = self.server.port
        if "--tls" in row.arguments:
            port = self.server.chained_port if ROOT in row.arguments else self.server.secure_port
        given = [self.server.root.name if each is ROOT else each for each in row.arguments]
        arguments = [program, *form, "--port", port, *given, "--count", str(count), "--warm", str(warm)]
        try:
            done = subprocess.run((pinned(1) if row.pin else []) + arguments, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            print(f"too slow: {' '.join(arguments)}", file=sys.stderr)
            return None
        if done.returncode == 3:
            return None  # it cannot do that
        if done.returncode != 0 or not done.stdout:
            print(f"failed: {' '.join(arguments)}\n{done.stderr}", file=sys.stderr)
            return None
        answer = json.loads(done.stdout.splitlines()[-1])  # some libraries log there
        if not {"idle", "connect", "storm", "echo"} & set(row.arguments):
            answer["server_load"] = self.server.load()
        return answer

    def measure(self, driver, row):
        if row.count:
            return self.run(driver, row, row.count, row.warm)
        key = (driver, row.name)
        if key not in self.counts:
            few = 200 if "connect" not in row.arguments else 5
            if "1048576" in row.arguments:
                few = 20
            first = self.run(driver, row, few, few)
            if first is None:
                self.counts[key] = None
            else:
                count = max(few, int(self.seconds * 1e9 / first["wall_ns"]))
                if count > 50 * few:  # the first guess was of the beginning
                    second = self.run(driver, row, count // 10, count // 50)
                    if second:
                        count = max(few, int(self.seconds * 1e9 / second["wall_ns"]))
                self.counts[key] = min(count, 50_000_000)
        count = self.counts[key]
        return self.run(driver, row, count, max(count // 10, 5)) if count else None


def measure(arguments):
    bench = Bench(arguments.folder, arguments.beside, 0.8 if arguments.full else 0.25)
    rounds = arguments.rounds or (9 if arguments.full else 3)
    wanted = arguments.rows.split(",") if arguments.rows else [""]
    chosen = [each for each in rows() if any(part in each.name.replace(",", "") for part in wanted)]
    if not arguments.full and not arguments.rows:
        chosen = [each for each in chosen if "10,000" not in each.name]
    results = []
    data = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {cpu_name()}, Linux {platform.release().partition('-')[0]}",
        "rounds": rounds,
        "seconds": bench.seconds,
        "rows": results,
    }
    order = random.Random(1)
    for row in chosen:
        drivers = list(row.drivers or BARE + TERN + PEERS)
        if arguments.drivers:
            drivers = [each for each in drivers if each == "bare" or any(part in each for part in arguments.drivers.split(","))]
        if arguments.beside:
            drivers += [each + BESIDE for each in drivers if each.startswith("tern")]
        listed = list(drivers)
        values = {driver: [] for driver in drivers}
        ratios = {driver: [] for driver in drivers}
        loads = {driver: [] for driver in drivers}
        for _ in range(1 if "idle" in row.arguments else rounds):  # memory needs no repetition
            order.shuffle(drivers)
            this = {driver: bench.measure(driver, row) for driver in drivers}
            if this["bare"] is None:
                continue
            for driver, answer in this.items():
                if answer is None:
                    continue
                values[driver].append(answer[row.measure])
                ratios[driver].append(answer[row.measure] / max(this["bare"][row.measure], 1e-9))
                if answer.get("server_load") is not None:
                    loads[driver].append(answer["server_load"])
        found = {}
        for driver in listed:
            if not values.get(driver):
                continue
            found[driver] = {
                "value": statistics.median(values[driver]),
                "ratio": statistics.median(ratios[driver]),
                "least": min(ratios[driver]),
                "most": max(ratios[driver]),
                "server_load": statistics.median(loads[driver]) if loads[driver] else None,
            }
        results.append({"row": row.name, "measure": row.measure, "unit": row.unit, "must": row.must, "aim": row.aim, "drivers": found})
        print_row(results[-1], sys.stderr)
        save(data, arguments)  # so that nothing is lost when somebody has no patience
    bench.server.stop()
    for driver in sorted(bench.missing):
        print(f"not built: {driver}", file=sys.stderr)
    return data


def save(data, arguments):
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
    for path, picture in ((arguments.svg, pictures.ratios), (arguments.growth_svg, pictures.growth)):
        if path:
            with open(path, "w") as file:
                file.write(picture(data))


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown CPU"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--from", dest="source", help="a JSON file of an earlier run")
    parser.add_argument("--full", action="store_true", help="more rounds, longer ones, and 10,000 connections")
    parser.add_argument("--rows", help="only rows whose name contains one of these, separated by commas (and without those of numbers)")
    parser.add_argument("--drivers", help="only bare and drivers whose name contains one of these")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--beside", help="tern's drivers of this build too, to compare two of them")
    parser.add_argument("--json", help="where to write the numbers")
    parser.add_argument("--svg", help="where to write the picture of the ratios")
    parser.add_argument("--growth-svg", help="where to write the picture of how the cost grows")
    arguments = parser.parse_args()
    if arguments.source:
        with open(arguments.source) as file:
            data = json.load(file)
    elif arguments.folder:
        data = measure(arguments)
    else:
        parser.error("which build folder?")
    print_tables(data)
    save(data, arguments)


if __name__ == "__main__":
    main()
