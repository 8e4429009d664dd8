#!/usr/bin/env python3
"""Compares tern with its peers and with bare sockets.

    bench/run.py BUILD-FOLDER [--full] [--rows TEXT] [--drivers TEXT] [--rounds N] [--json FILE] [--svg FILE]
    bench/run.py --from FILE [--svg FILE]     prints what was measured earlier

All drivers take turns in each round, in another order each time, so that what the machine does meanwhile hits all of
them. The server has one core, the client another. What counts is the CPU time of the client's process per message (for
`spin` its latency, for `idle` its memory), as a multiple of what the bare socket took in the same round; printed are
medians and, in brackets, the least and the largest ratio of all rounds.
"""

import argparse
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BARE = ["bare", "floor"]
MEANS = ["edge", "uring"]  # by which bare sockets are asked, where there are many
TERN = ["tern client", "tern loop", "tern thread", "tern async", "tern poll", "esp"]
OUTSIDE = ["tern thread", "tern more", "tern threads"]
PEERS = ["beast sync", "beast async", "beast tuned", "websocketpp", "libwebsockets", "poco", "qt"]
# Binaries that are not named like that.
PROGRAMS = {each: ["bench_bare", "--form", each] for each in BARE + MEANS}
# They do not look whether text is UTF-8, so what they take for it does not compare.
UNCHECKED = ["libwebsockets", "poco"]
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
    add("echo 32 B", ["--row", "echo", "--size", "32"], 1.15, 1.05)
    spinning = ["bare", "bare spin", "tern loop spin"]
    add("echo 32 B, latency", ["--row", "echo", "--size", "32"], 0.45, 0.38, "latency_p50", spinning)
    sized("wss receive", "receive", [(16, 3, 2), (128, 1.5, 1.25), (16384, 1.1, 1)], ["--tls"])
    sized("wss send", "send", [(16, 5, 3), (128, 2, 1.5), (16384, 1.6, 1.3), (1 << 20, 1.3, 1.2)], ["--tls"])
    sized("deflate receive", "receive", [(1024, 1.1, 1.03), (16384, 1.05, 1.03)], ["--kind", "deflate"])
    connecting = ["bare", "tern loop", "beast sync", "beast async", "websocketpp", "libwebsockets", "poco", "qt"]
    add("connect ws", ["--row", "connect"], 1.15, 1.08, drivers=connecting)
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
        _, self.port, self.secure_port = self.process.stdout.readline().split()
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
    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.server = Server(folder, 0)
        self.counts = {}
        self.missing = set()

    def command(self, driver):
        words = driver.split()
        if driver in PROGRAMS:
            program, *form = PROGRAMS[driver]
        elif words[-1] == "spin":
            program, *form = [f"bench_{words[0]}", "--form", "bare" if words[0] == "bare" else words[1], "--spin"]
        else:
            program, form = f"bench_{words[0]}", ["--form", words[1]] if len(words) > 1 else []
        return os.path.join(self.folder, program), form

    def run(self, driver, row, count, warm):
        program, form = self.command(driver)
        if not os.path.exists(program):
            self.missing.add(driver)
            return None
        port = self.server.secure_port if "--tls" in row.arguments else self.server.port
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
    bench = Bench(arguments.folder, 0.8 if arguments.full else 0.25)
    rounds = arguments.rounds or (9 if arguments.full else 3)
    chosen = [each for each in rows() if not arguments.rows or any(part in each.name for part in arguments.rows.split(","))]
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
        for driver in row.drivers or BARE + TERN + PEERS:
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
    if arguments.svg:
        with open(arguments.svg, "w") as file:
            file.write(picture(data))


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown CPU"


# --- what is printed -----------------------------------------------------------------------------------------------


def amount(value, unit):
    if unit == "KiB":
        return f"{value / 1024:.2f} KiB"
    for name, size in (("ms", 1e6), ("us", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} ns"


def headline(row):
    """The form of tern that the row is about, and the best of the peers."""
    found = row["drivers"]
    tern = next((each for each in ("tern loop spin", "tern client", "tern loop", *OUTSIDE) if each in found), None)
    peers = [each for each in found if each in PEERS and not ("text" in row["row"] and each in UNCHECKED)]
    return tern, min(peers, key=lambda each: found[each]["value"], default=None)


def ratio(entry):
    return f"x{entry['ratio']:.3g} ({entry['least']:.3g} to {entry['most']:.3g})"


def must(row):
    """The bound as text, and whether tern keeps it."""
    tern, _ = headline(row)
    if row["must"] is None or tern is None:
        return "", True
    if row["unit"] == "KiB":
        return f"{row['must']} KiB", row["drivers"][tern]["value"] <= row["must"] * 1024
    return f"x{row['must']:g}", row["drivers"][tern]["ratio"] <= row["must"]


def print_row(row, file):
    tern, peer = headline(row)
    found = row["drivers"]
    if "bare" not in found or tern is None:
        print(f"{row['row']}: not measured", file=file)
        return
    bound, kept = must(row)
    text = f"{row['row']:28} bare {amount(found['bare']['value'], row['unit']):>9}"
    text += f"  tern {amount(found[tern]['value'], row['unit']):>9} {ratio(found[tern]):24}"
    if peer:
        text += f"  {peer} {amount(found[peer]['value'], row['unit'])} x{found[peer]['ratio']:.3g}"
    print(text + ("" if not bound else f"  [{bound} {'kept' if kept else 'MISSED'}]"), file=file, flush=True)


def print_tables(data):
    print(f"{data['machine']}; {data['rounds']} rounds of {data['seconds']} s each\n")
    print("| work | bare | floor | best peer | tern | tern / bare | must | |")
    print("|---|---|---|---|---|---|---|---|")
    for row in data["rows"]:
        tern, peer = headline(row)
        found, unit = row["drivers"], row["unit"]
        if "bare" not in found or tern is None:
            continue
        bound, kept = must(row)
        floor = f"x{found['floor']['ratio']:.3g}" if "floor" in found else ""
        best = f"{peer} {amount(found[peer]['value'], unit)}, x{found[peer]['ratio']:.3g}" if peer else ""
        verdict = "" if not bound else "kept" if kept else "**missed**"
        print(f"| {row['row']} | {amount(found['bare']['value'], unit)} | {floor} | {best} | "
              f"{amount(found[tern]['value'], unit)} | {ratio(found[tern])} | {bound} | {verdict} |")
    for title, drivers in (("tern's forms", TERN), ("peers", PEERS), ("bare sockets by other means", MEANS)):
        print(f"\nAs a multiple of bare, {title}:\n")
        print("| work | " + " | ".join(drivers) + " |")
        print("|---|" + "---|" * len(drivers))
        for row in data["rows"]:
            found = row["drivers"]
            if sum(each in found for each in drivers) < 2:
                continue
            cells = [
                "" if each not in found
                else amount(found[each]["value"], "KiB") if row["unit"] == "KiB"  # a bare socket has next to nothing
                else ratio(found[each]) if drivers is MEANS
                else f"{found[each]['ratio']:.3g}"
                for each in drivers
            ]
            print(f"| {row['row']} | " + " | ".join(cells) + " |")
    medians = {row["row"]: {driver: entry["value"] for driver, entry in row["drivers"].items()} for row in data["rows"]}
    full, resumed = medians.get("connect wss verified", {}), medians.get("connect wss resumed", {})
    for driver in (each for each in full if each in resumed):
        print(f"\nA resumed connection takes x{resumed[driver] / full[driver]:.3g} of a full one whose chain is verified: {driver}")
    print("\nHow busy the server's core was while bare sockets were measured, and tern:\n")
    for row in data["rows"]:
        tern, _ = headline(row)
        loads = [row["drivers"][each].get("server_load") for each in ("bare", tern) if each in row["drivers"]]
        if len(loads) == 2 and None not in loads:
            print(f"    {row['row']:28} {loads[0]:4.0%} {loads[1]:4.0%}")


# --- the picture ---------------------------------------------------------------------------------------------------

PICTURE = ["receive 16 B", "receive 128 B", "receive 1 KiB", "receive 16 KiB", "receive text 128 B", "receive text 16 KiB",
           "send 16 B", "send 128 B", "send 1 KiB", "send 16 KiB", "echo 32 B", "wss receive 128 B", "wss send 128 B",
           "connect wss"]
SHORT = {"beast sync": "Beast", "beast async": "Beast async", "beast tuned": "Beast tuned", "poco": "Poco", "qt": "Qt"}


def picture(data):
    """A line a row; on it a point a client, at its multiple of the bare socket's CPU time (logarithmic)."""
    shown = [row for name in PICTURE for row in data["rows"] if row["row"] == name and row["drivers"]]
    left, width, top, step = 150, 560, 58, 24
    largest = max((entry["ratio"] for row in shown for entry in row["drivers"].values()), default=10)
    scale = width / math.log10(max(largest, 10) * 1.3)
    at = lambda value: left + max(0.0, math.log10(max(value, 0.5))) * scale
    bottom = top + step * len(shown)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {bottom + 34}" '
           'font-family="system-ui, sans-serif" font-size="12">',
           f'<rect width="{left + width + 20}" height="{bottom + 34}" fill="#ffffff"/>',
           '<text x="12" y="20" font-size="14" fill="#1f2933">CPU time of a client per message, as a multiple of a bare socket</text>']
    legend = [("tern", "#0b6e4f"), ("best peer", "#d97706"), ("other peers", "#b8c2cc")]
    x = 12
    for name, colour in legend:
        out.append(f'<circle cx="{x + 5}" cy="36" r="5" fill="{colour}"/><text x="{x + 15}" y="40" fill="#52606d">{name}</text>')
        x += 30 + 7 * len(name)
    for power in range(0, 4):
        for factor in (1, 2, 5):
            value = factor * 10**power
            if at(value) > left + width:
                continue
            out.append(f'<line x1="{at(value):.1f}" y1="{top - 8}" x2="{at(value):.1f}" y2="{bottom}" '
                       f'stroke="{"#9aa5b1" if value == 1 else "#e4e7eb"}"/>')
            out.append(f'<text x="{at(value):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#7b8794">x{value}</text>')
    for index, row in enumerate(shown):
        y = top + step * index + 8
        tern, best = headline(row)
        out.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end" fill="#1f2933">{row["row"]}</text>')
        for driver, entry in row["drivers"].items():
            if driver in PEERS and driver != best:
                out.append(f'<circle cx="{at(entry["ratio"]):.1f}" cy="{y}" r="4" fill="#b8c2cc"><title>{driver} '
                           f'x{entry["ratio"]:.3g}</title></circle>')
        for driver, colour in ((best, "#d97706"), (tern, "#0b6e4f")):
            if driver is None:
                continue
            entry = row["drivers"][driver]
            out.append(f'<circle cx="{at(entry["ratio"]):.1f}" cy="{y}" r="5.5" fill="{colour}"><title>{driver} '
                       f'x{entry["ratio"]:.3g}</title></circle>')
        if best:
            out.append(f'<text x="{at(row["drivers"][best]["ratio"]) + 9:.1f}" y="{y + 4}" font-size="10" '
                       f'fill="#9a5b06">{SHORT.get(best, best)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--from", dest="source", help="a JSON file of an earlier run")
    parser.add_argument("--full", action="store_true", help="more rounds, longer ones, and 10,000 connections")
    parser.add_argument("--rows", help="only rows whose name contains one of these, separated by commas")
    parser.add_argument("--drivers", help="only bare and drivers whose name contains one of these")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", help="where to write the numbers")
    parser.add_argument("--svg", help="where to write the picture")
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
