"""Pictures of what was measured, as SVG."""

import math

from report import PEERS, headline

ROWS = ["receive 16 B", "receive 128 B", "receive 1 KiB", "receive 16 KiB", "receive text 128 B", "receive text 16 KiB",
           "send 16 B", "send 128 B", "send 1 KiB", "send 16 KiB", "echo 32 B", "wss receive 128 B", "wss send 128 B",
           "connect wss"]
SHORT = {"beast sync": "Beast", "beast async": "Beast async", "beast tuned": "Beast tuned", "poco": "Poco", "qt": "Qt"}
# What the picture of the growth shows.
GROWING = {"bare": "#9aa5b1", "edge": "#3b82c4", "tern loop": "#0b6e4f"}
NAMES = {"bare": "bare epoll", "edge": "bare epoll by edges", "tern loop": "tern"}


def canvas(width, height):
    return [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>']


def ratios(data):
    """A line a row; on it a point a client, at its multiple of the bare socket's CPU time (logarithmic)."""
    shown = [row for name in ROWS for row in data["rows"] if row["row"] == name and row["drivers"]]
    left, width, top, step = 150, 560, 58, 24
    largest = max((entry["ratio"] for row in shown for entry in row["drivers"].values()), default=10)
    scale = width / math.log10(max(largest, 10) * 1.3)
    at = lambda value: left + max(0.0, math.log10(max(value, 0.5))) * scale
    bottom = top + step * len(shown)
    out = [*canvas(left + width + 20, bottom + 34),
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


def growth(data):
    """A panel for each kind of work: time per message (logarithmic) over the number of connections."""
    left, width, height, top, gap = 66, 270, 220, 66, 84
    out = [*canvas(left + 2 * width + gap + 36, top + height + 34),
           '<text x="12" y="20" font-size="14" fill="#1f2933">CPU time of a message, on so many connections of one thread</text>']
    x = 12
    for driver, colour in GROWING.items():
        out.append(f'<circle cx="{x + 5}" cy="36" r="5" fill="{colour}"/><text x="{x + 15}" y="40" fill="#52606d">{NAMES[driver]}</text>')
        x += 36 + 7 * len(NAMES[driver])
    for panel, work in enumerate(("receive 128 B", "echo 32 B")):
        found = [row for row in data["rows"] if row["row"].startswith(work + " on ") and row["drivers"]]
        values = [entry["value"] for row in found for driver, entry in row["drivers"].items() if driver in GROWING]
        if not values:
            continue
        origin = left + panel * (width + gap)
        low, high = min(values) * 0.7, max(values) * 1.4
        across = lambda index: origin + width * index / max(len(found) - 1, 1)
        up = lambda value: top + height * (1 - math.log(value / low) / math.log(high / low))
        out.append(f'<text x="{origin}" y="{top - 8}" fill="#1f2933">{work}</text>')
        for power in range(0, 6):
            for factor in (1, 2, 5):
                value = factor * 10**power
                if low <= value <= high:
                    label = f"{value / 1000:g} us" if value >= 1000 else f"{value} ns"
                    out.append(f'<line x1="{origin}" y1="{up(value):.1f}" x2="{origin + width}" y2="{up(value):.1f}" stroke="#e4e7eb"/>'
                               f'<text x="{origin - 8}" y="{up(value) + 4:.1f}" text-anchor="end" fill="#7b8794">{label}</text>')
        for index, row in enumerate(found):
            out.append(f'<text x="{across(index):.1f}" y="{top + height + 18}" text-anchor="middle" fill="#7b8794">'
                       f'{row["row"].rpartition(" ")[2]}</text>')
        for driver, colour in GROWING.items():
            line = [(across(index), up(row["drivers"][driver]["value"]), row) for index, row in enumerate(found) if driver in row["drivers"]]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in line)
            out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            for x, y, row in line:
                out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{NAMES[driver]} '
                           f'{row["drivers"][driver]["value"]:.3g} ns</title></circle>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
