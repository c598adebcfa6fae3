"""Writes what was measured into docs/explanation/performance.md, between its two marks."""

import os
from statistics import median

from cells import CELLS, DEFLATED, GATEWAY, TOPICS, UNMEASURED

BEGIN = "<!-- what follows is written by `make bench` -->"
END = "<!-- end of what `make bench` writes -->"
OURS = ("rupor", GATEWAY, TOPICS, DEFLATED)
RATE = "messages_per_cpu_s"
VERDICTS = ("met", "**too close**", "**not met**", "not measured")
NAMES = {
    "messages_per_cpu_s": "messages per CPU second",
    "bytes_per_connection_open": "bytes a connection",
    "bytes_per_connection_end": "bytes a connection at the end",
    "opening_cpu_us_per_connection": "µs to open",
    "messages_per_s": "events per second",
    "p50_us": "µs from message to answer, half of them",
    "cpu_us_per_message": "µs of its own CPU an event",
}


def write(path, results):
    """Replaces the measured part of the page; what stands around it is written by hand."""
    measured = "\n\n".join(part for part in parts(results) if part)
    before, after = "# Performance\n", ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2].strip("\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before.rstrip()}\n\n{BEGIN}\n\n{measured}\n\n{END}\n" + (f"\n{after}\n" if after else ""))


def parts(results):
    cells = [(cell, Figures(cell, results["cells"][cell.name])) for cell in CELLS if cell.name in results["cells"]]
    yield "## The machine"
    yield conditions(results, [figures for _, figures in cells])
    yield servers_of(results)
    yield "## Bars"
    yield bars(cells)
    yield "## Rates"
    for group in dict.fromkeys(cell.group for cell, _ in cells if cell.table == "rate"):
        yield f"### {group}"
        yield rates([(cell, figures) for cell, figures in cells if cell.group == group])
    costs = [(cell, figures) for cell, figures in cells if cell.table == "cost"]
    if costs:
        yield "## What a connection costs"
    for cell, figures in costs:
        yield f"### {cell.title}"
        yield cost(cell, figures)
    handled = [(cell, figures) for cell, figures in cells if cell.table == "handlers"]
    if handled:
        yield "## Handlers in PHP"
        yield (
            "PHP has one core, the gateway and the generator share the other. The floors are PHP without a gateway: frames over a "
            "stream pair to one process, and a FastCGI client on the same pool of php-fpm."
        )
    for cell, figures in handled:
        yield f"### `{cell.name}`: {cell.title}"
        yield events(figures)
    yield failures(cells)


class Figures:
    """What was measured of one cell, a list with one value for each pass."""

    def __init__(self, cell, measured):
        self.cell = cell
        self.seconds = measured["seconds"]
        self.passes = []
        self.failed = {}
        self.loads = [one["load"] for one in measured["passes"]]
        for one in measured["passes"]:
            by_label = {}
            for run in one["runs"]:
                if "failed" in run:
                    self.failed[run["row"]] = run["failed"]
                else:
                    by_label.setdefault(run["row"], []).append(run)
            self.passes.append(by_label)

    def labels(self):
        return [row.label for row in self.cell.rows if any(row.label in one for one in self.passes)]

    def absolute(self, label, figure):
        """The floor's three runs of a pass count as one, their median."""
        return [median(run[figure] for run in one[label]) for one in self.passes if label in one]

    def ratios(self, label, against, figure="messages_per_cpu_s"):
        if against == "best":
            against = self.best()
        return [one / other for one, other in self.pairs(label, against, figure)]

    def differences(self, label, against, figure):
        return [one - other for one, other in self.pairs(label, against, figure)]

    def pairs(self, label, against, figure):
        both = [one for one in self.passes if label in one and against in one]
        middle = lambda one, label: median(run[figure] for run in one[label])
        return [(middle(one, label), middle(one, against)) for one in both]

    def best(self):
        """The fastest server that is not ours."""
        peers = [label for label in self.labels() if label not in OURS and label != "floor"]
        rate = lambda label: median(self.ratios(label, "floor") or self.absolute(label, "messages_per_cpu_s"))
        return max(peers, key=rate, default=None)

    def floor_spread(self):
        """How far the floor's runs of one pass lie apart, in the worst pass: what noise can do."""
        runs = [[run["messages_per_cpu_s"] for run in one["floor"]] for one in self.passes if "floor" in one]
        return max((max(rates) / min(rates) - 1 for rates in runs), default=0)


def conditions(results, figures):
    machine = results["machine"]
    kind = "virtual machine" if machine["virtual"] else "machine"
    loads = [load for one in figures for load in one.loads] or [0]
    lengths = {f"{one.seconds:g} s" for one in figures if one.cell.table == "rate"}
    passes = {str(len(one.passes)) for one in figures if one.cell.table == "rate"}
    return (
        f"A {kind} with {machine['cores']} cores ({machine['model']}), {machine['memory_gib']} GiB of memory and "
        f"{machine['kernel']}, in {machine['date']}. Server and generator had a core each. When passes began, the load average "
        f"was {min(loads):.1f} to {max(loads):.1f}; the measurement itself makes up to 2 of it, the rest was other work. "
        f"A rate is the median of {' or '.join(sorted(passes))} passes, each run measured for {' or '.join(sorted(lengths))}.\n\n"
        "```sh\nmake bench                        # everything\n"
        "make bench CELLS='echo-64-*' SECONDS=5 REPEATS=5\nbench/run.py --help\n```"
    )


def servers_of(results):
    named = [f"{name} {version}" for name, version in sorted(results["versions"].items()) if name not in results["missing"]]
    text = f"The peers: {'; '.join(named)}."
    for name, why in results["missing"].items():
        text += f" {name} is left out: {why}."
    return text


def bars(cells):
    lines, counts = [], {}
    measured = {cell.name: figures for cell, figures in cells}
    for cell in CELLS:
        for bar in cell.bars:
            said, verdict = judge(bar, measured[cell.name]) if cell.name in measured else ("", "not measured")
            counts[verdict] = counts.get(verdict, 0) + 1
            sign = "≤" if bar.at_most else "≥"
            than = f" more than {bar.against}" if bar.more else f" × {bar.against}"
            of = {None: f" {NAMES[bar.figure]}", "best": " × the best peer"}.get(bar.against, than)
            of += f", {NAMES[bar.figure]}" if bar.against and bar.figure != RATE else ""
            lines.append(f"| `{cell.name}` | {bar.row} | {sign} {bar.bound:,g}{of} | {said} | {verdict} |")
    for what, bound, why in UNMEASURED:
        counts["not measured"] = counts.get("not measured", 0) + 1
        lines.append(f"| {what} | | {bound} | {why} | not measured |")
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    head = "| cell | server | bar | median (all passes) | |\n|---|---|---|---|---|\n"
    return f"{summary}. *Met* and *not met*: so in every pass; *too close*: passes disagree.\n\n{head}" + "\n".join(lines)


def judge(bar, figures):
    """What came, and whether it reaches the bar."""
    if bar.more:
        values = figures.differences(bar.row, bar.against, bar.figure)
    elif bar.against:
        values = figures.ratios(bar.row, bar.against, bar.figure)
    else:
        values = figures.absolute(bar.row, bar.figure)
    if not values:
        return "", "not measured"
    met = [value <= bar.bound if bar.at_most else value >= bar.bound for value in values]
    verdict = "met" if all(met) else "**too close**" if any(met) else "**not met**"
    said = spread(values, ("{:.1f}" if bar.more else "{:.2f}" if bar.against else "{:,.0f}").format)
    if bar.against == "best":
        said += f", {figures.best()}"
    return said, verdict


def spread(values, style):
    """The median, and the lowest and highest if they differ."""
    low, high = style(min(values)), style(max(values))
    return style(median(values)) + (f" ({low}–{high})" if low != high else "")


def rates(cells):
    """One column a cell, one row a server: the share of the floor, or of the first row where there is no floor."""
    labels = list(dict.fromkeys(label for _, figures in cells for label in figures.labels()))
    lines = ["| | " + " | ".join(cell.title for cell, _ in cells) + " |", "|---" + "|---:" * len(cells) + "|"]
    if "floor" in labels:
        scale = [kilo(median(figures.absolute("floor", "messages_per_cpu_s"))) for _, figures in cells]
        lines.append("| floor, messages per CPU second | " + " | ".join(scale) + " |")
        noise = [percent(figures.floor_spread()) for _, figures in cells]
        lines.append("| floor: its fastest run over its slowest, worst pass | +" + " | +".join(noise) + " |")
        labels.remove("floor")
    for label in labels:
        shares = []
        for _, figures in cells:
            values = figures.ratios(label, "floor")
            alone = figures.absolute(label, "messages_per_cpu_s")
            shares.append(spread(values, percent) if values else kilo(median(alone)) if alone else "")
        name = f"**{label}**" if label in OURS else label
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    for label in (label for label in labels if label in OURS):
        against = []
        for _, figures in cells:
            values = figures.ratios(label, "best") if figures.best() else []
            against.append(f"{median(values):.2f} × {figures.best()}" if values else "")
        if any(against):
            lines.append(f"| {label} to the best peer | " + " | ".join(against) + " |")
    return "\n".join(lines)


def cost(cell, figures):
    if not figures.labels():
        return "No run came to its end."
    lines = ["| | µs of CPU to open | bytes after opening | bytes at the end |", "|---|---:|---:|---:|"]
    for label in figures.labels():
        columns = ("opening_cpu_us_per_connection", "bytes_per_connection_open", "bytes_per_connection_end")
        shown = [spread(figures.absolute(label, column), "{:,.0f}".format) for column in columns]
        name = f"**{label}**" if label in OURS else label
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def events(figures):
    columns = (("messages_per_s", "{:,.0f}"), ("p50_us", "{:,.0f}"), ("cpu_us_per_message", "{:.1f}"))
    lines = ["| | " + " | ".join(NAMES[column] for column, _ in columns) + " |", "|---|---:|---:|---:|"]
    for label in figures.labels():
        shown = [spread(figures.absolute(label, column), style.format) for column, style in columns]
        name = f"**{label}**" if label in OURS else label
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines) if figures.labels() else "No run came to its end."


def failures(cells):
    lines = [f"- `{cell.name}`, {label}: {why}" for cell, figures in cells for label, why in figures.failed.items()]
    return "## Runs that failed\n\nTheir figures are left out.\n\n" + "\n".join(lines) if lines else ""


def percent(share):
    return f"{share:.0%}".replace("%", " %")


def kilo(rate):
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e3:.0f} k"
