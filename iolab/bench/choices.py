"""What a bench may be asked for: names and limits, in a file that needs nothing, so that a parser may read it.

    iolab bench servers --servers uvloop --connections 64      checked here, before anything else is imported
    bench_servers(servers=["uvloop"], connections=[64])        checked against the same

Two facts that surprise:
* A command line that imports what its commands need is slow in all of them: asyncio alone takes longer than Python.
* Ten thousand connections from one address to one port are no problem: a connection is told by four numbers, and the
  client's port has some 28,000 values (ip_local_port_range).
"""

SERVERS = (
    "reactor-select", "reactor-poll", "reactor-epoll", "proactor-io-uring", "proactor-linux-aio", "proactor-posix-aio",
    "proactor-threads", "threads", "asyncio", "asyncio-streams", "asyncio-same-http", "uvloop", "uvloop-same-http",
    "gevent", "tornado",
)  # fmt: skip
REFERENCE = "reactor-epoll"
PLAIN, DATABASE = REQUESTS = ("plain", "database")
OWN, WRK = CLIENTS = ("own", "wrk")
MOST_CONNECTIONS, MOST_ROUNDS, LEAST_S, MOST_S = 10_000, 1000, 0.05, 600
IDLE, MOST_IDLE = (10, 100, 1000, 10_000), 100_000


def check_numbers(name: str, values, high: int) -> None:
    """ValueError, with its name, unless all of them are integers from 1 to `high`, and there is one."""
    if not values or not all(type(value) is int and 1 <= value <= high for value in values):
        raise ValueError(f"{name} must be from 1 to {high:,}, not {values!r}")


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """ValueError, with its name, unless it is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
