"""What is measured: the cells, the servers in each, and the bars that rupor is to clear.

A cell is one load. Its rows are the servers that carry it; figures are compared within one cell only.
"""

from dataclasses import dataclass, field

ECHO_PEERS = [
    "uwebsockets",
    "uwebsockets.js",
    "sockudo-ws",
    "fastwebsockets",
    "tokio-websockets",
    "tokio-tungstenite",
    "axum",
    "picows",
    "ws",
]
TOPIC_PEERS = ["uwebsockets", "uwebsockets.js", "picows", "ws"]
GATEWAY = "rupor, the gateway"
TOPICS = "rupor-server's topics"
DEFLATED = "rupor-server's topics, compressed"


@dataclass
class Row:
    """One server in a cell. `load` is what it is started for, as `servers` names it."""

    label: str
    peer: str
    load: str
    arguments: list = field(default_factory=list)
    query: str = ""


@dataclass
class Bar:
    """What `row` is to reach: a share of another row's figure (`floor`, `best` or a label), so much more, or an absolute figure."""

    row: str
    figure: str
    bound: float
    against: str = None
    at_most: bool = False
    more: bool = False


@dataclass
class Cell:
    name: str
    # Cells of one group share a table.
    group: str
    title: str
    scenario: str
    arguments: list
    rows: list
    bars: list
    # What its table shows: "rate" (messages per CPU second), "cost" (of a connection) or "handlers" (events in PHP).
    table: str = "rate"
    connections: int = 100
    # These replace what the command line says.
    seconds: float = None
    repeats: int = None
    json: bool = False


def rate(row, bound, against):
    return Bar(row, "messages_per_cpu_s", bound, against)


def at_most(row, figure, bound):
    return Bar(row, figure, bound, at_most=True)


def echo_rows(names, load="echo"):
    return [Row("floor", "floor", load), Row("rupor", "rupor", load)] + [Row(name, name, load) for name in names]


def echo(payload, connections, in_flight, bars, binary=False):
    size = str(payload) if payload < 1024 else f"{payload // 1024}k"
    kind = "binary" if binary else "text"
    suffix = "-binary" if binary else ""
    flags = ["--payload", payload, "--in-flight", in_flight, f"--{kind}"]
    group = {16384: "Echo, 16 KiB", 262144: "Echo, 256 KiB"}.get(payload, f"Echo, {in_flight} in flight")
    return Cell(
        group=group,
        name=f"echo-{size}-x{connections}-d{in_flight}{suffix}",
        title=f"{bytes_of(payload)} {kind}, {connections} × {in_flight} in flight",
        scenario="echo",
        arguments=flags,
        rows=echo_rows(ECHO_PEERS),
        bars=bars,
        connections=connections,
        # Where 400 MiB are on their way at a time, a short run sees the beginning only.
        seconds=4 if payload * connections * in_flight > 256 << 20 else None,
    )


def echoes():
    floor = rate("rupor", 0.95, "floor")
    ahead = rate("rupor", 1.03, "uwebsockets")
    twice = rate("rupor", 2, "uwebsockets")
    best = rate("rupor", 1.1, "best")
    small = (64, 1024)
    cells = [echo(payload, connections, 1, [floor]) for payload in small for connections in (1, 100, 1000)]
    cells += [echo(payload, connections, 16, [floor, ahead]) for payload in small for connections in (100, 1000)]
    for connections in (100, 1000):
        cells.append(echo(16384, connections, 16, [rate("rupor", 0.75, "floor"), twice]))
        cells.append(echo(16384, connections, 16, [rate("rupor", 0.85, "floor"), twice], binary=True))
    cells += [echo(262144, connections, depth, [best]) for connections in (1, 100) for depth in (1, 16)]
    secure = Cell(
        group="Echo over TLS",
        name="wss-1k-x100-d1",
        title="1 KiB text over TLS, 100 × 1 in flight",
        scenario="echo",
        arguments=["--payload", 1024, "--in-flight", 1],
        rows=echo_rows([], "echo-tls"),
        bars=[rate("rupor", 0.9, "floor")],
    )
    return [*cells, secure]


def broadcast(payload, in_flight):
    bars = [rate(TOPICS, 1 if in_flight == 1 else 1.25, "uwebsockets")]
    if in_flight > 1:
        bars.append(rate(GATEWAY, 0.85, TOPICS))
    rows = [
        Row("floor", "floor", "broadcast"),
        Row(TOPICS, "rupor-topics", "broadcast"),
        Row(GATEWAY, "rupor", "broadcast"),
        *[Row(name, name, "broadcast") for name in TOPIC_PEERS],
    ]
    return Cell(
        group="Broadcast",
        name=f"broadcast-{'1k' if payload == 1024 else payload}-d{in_flight}",
        title=f"{bytes_of(payload)} text to 1000, {in_flight} in flight",
        scenario="broadcast",
        arguments=["--payload", payload, "--in-flight", in_flight],
        rows=rows,
        bars=bars,
        connections=1000,
    )


def publications():
    cells = [broadcast(payload, in_flight) for in_flight in (1, 16) for payload in (100, 1024)]
    for in_flight in (1, 16):
        deflate = Cell(
            group="Broadcast, compressed",
            name=f"broadcast-deflate-d{in_flight}",
            title=f"1 KiB of JSON to 1000, {in_flight} in flight, with and without compression",
            scenario="broadcast",
            arguments=["--in-flight", in_flight],
            rows=[
                Row("floor", "floor", "broadcast"),
                Row(TOPICS, "rupor-topics", "broadcast"),
                Row(DEFLATED, "rupor-topics", "broadcast", ["--deflate"]),
            ],
            bars=[rate(DEFLATED, 0.8, TOPICS)],
            connections=1000,
            json=True,
        )
        cells.append(deflate)
    for users in (1000, 100):
        push = Cell(
            group="Push",
            name=f"push-x{users}-d1000",
            title=f"64 bytes to one user each, {users} users in turn, 1000 lines in flight on a Unix socket",
            scenario="push",
            arguments=["--in-flight", 1000],
            rows=[Row(GATEWAY, "rupor", "push")],
            bars=[Bar(GATEWAY, "messages_per_cpu_s", 300_000)],
            connections=users,
        )
        cells.append(push)
    return cells


def held():
    opened, end, setup = "bytes_per_connection_open", "bytes_per_connection_end", "opening_cpu_us_per_connection"
    many = 10_000
    idle = Cell(
        group="Connections",
        name="idle-10k",
        title="10,000 opened, nothing sent",
        scenario="idle",
        arguments=[],
        rows=echo_rows(ECHO_PEERS),
        bars=[at_most("rupor", opened, 256), at_most("rupor", setup, 25)],
        table="cost",
        connections=many,
        seconds=0.5,
    )
    # Five seconds of silence are part of these.
    once = Cell(
        group="Connections",
        name="idle-10k-echo",
        title="10,000 opened, one echo of 64 bytes on each, then silence",
        scenario="echo",
        arguments=["--rate", 5000, "--messages", many],
        rows=echo_rows(["uwebsockets", "sockudo-ws", "fastwebsockets"]),
        bars=[at_most("rupor", end, 256)],
        table="cost",
        connections=many,
        seconds=7,
        repeats=1,
    )
    large = Cell(
        group="Connections",
        name="idle-10k-large",
        title="10,000 opened, one echo of 1 MiB on each, then silence",
        scenario="echo",
        arguments=["--payload", 1 << 20, "--rate", 150, "--messages", many],
        rows=echo_rows(["uwebsockets"]),
        bars=[at_most("rupor", end, 256)],
        table="cost",
        connections=many,
        seconds=73,
        repeats=1,
    )
    users = Cell(
        group="Connections",
        name="idle-10k-gateway",
        title="10,000 opened at the gateway, each a user of its own in one channel",
        scenario="push",
        arguments=["--rate", 10],
        rows=[Row(GATEWAY, "rupor", "push", query="?channel=bench")],
        bars=[at_most(GATEWAY, opened, 1024)],
        table="cost",
        connections=many,
        seconds=0.5,
        repeats=1,
    )
    secure = Cell(
        group="Connections",
        name="idle-10k-wss",
        title="10,000 opened over TLS, nothing sent",
        scenario="idle",
        arguments=[],
        rows=echo_rows([], "echo-tls"),
        bars=[at_most("rupor", opened, 10 * 1024)],
        table="cost",
        connections=many,
        seconds=0.5,
        repeats=1,
    )
    hundred = Cell(
        group="Connections",
        name="idle-100k",
        title="100,000 opened, nothing sent",
        scenario="idle",
        arguments=[],
        rows=echo_rows([]),
        bars=[at_most("rupor", setup, 25)],
        table="cost",
        connections=100_000,
        seconds=1,
        repeats=1,
    )
    return [idle, once, large, users, secure, hundred]


def handled():
    """Events that PHP handles. The floors, which measure themselves, are PHP without a gateway."""
    rate_of, latency, cpu = "messages_per_s", "p50_us", "cpu_us_per_message"
    # What the gateway adds to what PHP's bare caller needs.
    added = Bar(GATEWAY, cpu, 15, "floor", at_most=True, more=True)
    rows = lambda floor, load: [Row("floor", floor, load), Row(GATEWAY, "rupor", load)]
    pipelined = Cell(
        group="Handlers",
        name="php-x100-d16",
        title="a process of the gateway's, 64 bytes, 100 × 16 in flight; the floor is a bare pipe to PHP",
        scenario="echo",
        arguments=["--payload", 64, "--in-flight", 16],
        rows=rows("pipe", "php"),
        bars=[Bar(GATEWAY, rate_of, 100_000), added],
        table="handlers",
    )
    alone = Cell(
        group="Handlers",
        name="php-x1-d1",
        title="a process of the gateway's, 64 bytes, one in flight; the floor is a bare pipe to PHP",
        scenario="echo",
        arguments=["--payload", 64, "--in-flight", 1],
        rows=rows("pipe", "php"),
        bars=[Bar(GATEWAY, latency, 3, "floor", at_most=True)],
        table="handlers",
        connections=1,
    )
    fpm = Cell(
        group="Handlers",
        name="fpm-x100-d1",
        title="php-fpm, 64 bytes, 100 × 1 in flight over 4 connections; the floor is a bare FastCGI client on the same pool",
        scenario="echo",
        arguments=["--payload", 64, "--in-flight", 1],
        rows=rows("fastcgi", "fpm"),
        bars=[Bar(GATEWAY, rate_of, 0.8, "floor"), added],
        table="handlers",
    )
    return [pipelined, alone, fpm]


def bytes_of(count):
    return f"{count} bytes" if count < 1024 else f"{count // 1024} KiB"


CELLS = [*echoes(), *publications(), *held(), *handled()]
# Bars that no cell here can decide.
UNMEASURED = [
    (
        "publish through the gateway, against soketi and nchan",
        "≥ 10 ×",
        "by hand, with another client: see the end of the page",
    ),
]
