#!/usr/bin/env python3
"""What one core, one machine and ten machines carry, computed from bench/figures.json, for docs/explanation/scale.md.

    bench/scale.py            writes the tables of the page again
    bench/scale.py --check    fails when the page and the model disagree, or the figures are not those of performance.md
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(os.path.dirname(HERE), "docs", "explanation")
PAGE = os.path.join(DOCS, "scale.md")
BEGIN = "<!-- what follows is written by bench/scale.py -->"
END = "<!-- end of what bench/scale.py writes -->"
# What IP and TCP put around a segment of a publication, and the frame's own header.
HEADERS_BYTES = 66 + 2


def tables(figures):
    return f"{carried(figures)}\n\n{storm(figures)}"


def carried(figures):
    """Everything a core does is linear in cores as long as the work is spread over connections; nodes share nothing."""
    cores = figures["cores_of_a_machine"]
    lines = [
        f"| | one core | one machine, {cores} cores | ten machines |",
        "|---|---:|---:|---:|",
    ]
    per_connection = figures["user_bytes"]["gateway"] + figures["kernel_bytes"]
    secure = figures["user_bytes"]["tls"] - figures["user_bytes"]["plain"] + per_connection
    broadcast = figures["broadcast_floor_per_s"] * figures["broadcast_share"]
    # Each machine is to have 100,000 of them; a core its share.
    machine = 100_000
    memory = lambda bytes_each: [f"{bytes_each * count / 2**20:,.0f} MiB" for count in (machine / cores, machine, 10 * machine)]
    rate = lambda per_core: [rounded(per_core * count) for count in (1, cores, 10 * cores)]
    bandwidth = [broadcast * count * (figures["publication_bytes"] + HEADERS_BYTES) * 8 / 1e9 for count in (1, cores, 10 * cores)]
    rows = [
        ("connections, as an example", [f"{count:,.0f}" for count in (machine / cores, machine, 10 * machine)]),
        ("their memory, user space and kernel", memory(per_connection)),
        ("the same with TLS", memory(secure)),
        ("pushes a second, to many users in turn", rate(figures["push_per_s"]["others"])),
        ("pushes a second, several to one user at a time", rate(figures["push_per_s"]["same"])),
        ("deliveries a second of publications to a channel", rate(broadcast)),
        (f"network for those, {figures['publication_bytes']} bytes each, no two in one segment", [f"{gbit:,.1f} Gbit/s" for gbit in bandwidth]),
    ]
    return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows])


def storm(figures):
    """All come back at once: the CPU time of their set-up, and how long `accepts_per_second` lets it take at least."""
    cores, limit = figures["cores_of_a_machine"], figures["accepts_per_second"]
    lines = [
        "| 100,000 come back to one machine | CPU time | busy cores at the limit | at the limit | without it, all cores |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, kind in (("gateway", "gateway"), ("gateway with TLS", "tls")):
        cpu_s = 100_000 * figures["setup_us"][kind] / 1e6
        busy = limit * figures["setup_us"][kind] / 1e6
        lines.append(f"| {name} | {cpu_s:.1f} s | {busy:.2f} | {100_000 / limit:,.0f} s | {cpu_s / cores:.1f} s |")
    return "\n".join(lines)


def rounded(rate):
    return f"{rate / 1e6:,.1f} M" if rate >= 1e6 else f"{rate / 1e3:,.0f} k"


def replaced(page, figures):
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(figures)}\n\n{END}{rest.partition(END)[2]}"


def disagreements(page, performance, figures):
    """What is wrong, in words. A figure that was measured again has to be brought here too."""
    wrong = []
    if replaced(page, figures) != page:
        wrong.append("docs/explanation/scale.md is not what the model says: run bench/scale.py")
    measured = [*figures["push_per_s"].values(), *figures["user_bytes"].values(), *figures["setup_us"].values()]
    quoted = [f"{figure:,}" for figure in measured]
    quoted += [f"{figures['broadcast_floor_per_s'] / 1e6:.2f} M", f"{figures['broadcast_share'] * 100:.0f} %"]
    for figure in quoted:
        if f" {figure} " not in performance:
            wrong.append(f"{figure} in bench/figures.json is not in docs/explanation/performance.md")
    said = [figures["user_bytes"]["plain"], figures["user_bytes"]["gateway"], figures["kernel_bytes"]]
    for figure in said:
        if f" {figure:,} " not in page:
            wrong.append(f"docs/explanation/scale.md does not say {figure:,}, as bench/figures.json does")
    return wrong


def main():
    figures = json.loads(read(os.path.join(HERE, "figures.json")))
    page = read(PAGE)
    if "--check" not in sys.argv:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(replaced(page, figures))
        return 0
    performance = read(os.path.join(DOCS, "performance.md"))
    wrong = disagreements(page, performance, figures)
    # The check checks itself: a page with one figure changed has to be found out.
    if not disagreements(page.replace("1,000,000", "1,000,001"), performance, figures):
        wrong.append("a wrong page is not found out")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{int(not wrong)} passed, {int(bool(wrong))} failed")
    return int(bool(wrong))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
