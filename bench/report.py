"""The drivers of the benchmark, and tables of what was measured."""

BARE = ["bare", "floor"]
MEANS = ["edge", "uring"]  # by which bare sockets are asked, where there are many
TERN = ["tern client", "tern loop", "tern thread", "tern async", "tern poll", "esp"]
OUTSIDE = ["tern thread", "tern more", "tern threads"]
# What the name of a driver ends with that is of another build.
BESIDE = " beside"
PEERS = ["beast sync", "beast async", "beast tuned", "websocketpp", "libwebsockets", "poco", "qt"]
# They do not look whether text is UTF-8, so what they take for it does not compare.
UNCHECKED = ["libwebsockets", "poco"]


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
        floor = ", ".join(f"{mark}x{found[each]['ratio']:.3g}" for each, mark in (("floor", ""), ("edge", "edges ")) if each in found)
        best = f"{peer} {amount(found[peer]['value'], unit)}, x{found[peer]['ratio']:.3g}" if peer else ""
        verdict = "" if not bound else "kept" if kept else "**missed**"
        print(f"| {row['row']} | {amount(found['bare']['value'], unit)} | {floor} | {best} | "
              f"{amount(found[tern]['value'], unit)} | {ratio(found[tern])} | {bound} | {verdict} |")
    tables = [("tern's forms", TERN), ("peers", PEERS), ("bare sockets by other means", MEANS)]
    twins = dict.fromkeys(each for row in data["rows"] for each in row["drivers"] if each.endswith(BESIDE))
    builds = [each for twin in twins for each in (twin.removesuffix(BESIDE), twin)]
    if builds:
        tables.append(("two builds of tern", builds))
    for title, drivers in tables:
        print(f"\nAs a multiple of bare, {title}:\n")
        print("| work | " + " | ".join(drivers) + " |")
        print("|---|" + "---|" * len(drivers))
        for row in data["rows"]:
            found = row["drivers"]
            if sum(each in found for each in drivers) < (1 if drivers is MEANS else 2):
                continue
            cells = [
                "" if each not in found
                else amount(found[each]["value"], "KiB") if row["unit"] == "KiB"  # a bare socket has next to nothing
                else ratio(found[each]) if drivers in (MEANS, builds)
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
