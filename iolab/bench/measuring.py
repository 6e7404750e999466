"""Rounds in turn: each server once, then each once more, so that what changes meanwhile changes for all of them.

    round 1   A ├ warm-up ┤ ├ measured ┤  B ├ ... ┤   C ├ ... ┤      each in a new process
    round 2   A ├ warm-up ┤ ├ measured ┤  B ├ ... ┤   C ├ ... ┤      and in another one
                            └ CPU time of the server, before and after ┘

Three facts that surprise:
* Measured one after the other, A for a minute, then B, the second is slower on a laptop that has become warm, and
  faster where a neighbour has just finished. The order of the names decides.
* Two processes of one program may differ by a quarter for as long as they live: where their memory lies is chosen anew
  at each start. So no round has the process of another one; otherwise their median would be that of one throw.
* The first requests cost several times as much, and not only because caches are cold. asyncio receives with 256 KiB at
  a time, and glibc makes each such buffer by mmap(2) until one of them was freed whole: when the first client leaves.
  Until then a request costs it more than twice as much. So the warm-up says goodbye, and new connections are measured.

Load goes to 127.0.0.1 alone. Every process that is started here is ended here.
"""

from collections.abc import Callable, Sequence

from iolab.bench import choices, cpu_time, wrk
from iolab.bench.application import ASKED, Asked
from iolab.bench.circumstances import circumstances, enough_descriptors, load
from iolab.bench.client import Client, WrongResponse
from iolab.bench.contestants import CONTESTANTS
from iolab.bench.results import Bench, Figures, Run, percentiles, rows_of
from iolab.bench.running import Running, running

WARM_UP_S = 0.1


def bench_servers(
    connections: Sequence[int] = (64,),
    rounds: int = 5,
    seconds: float = 1.0,
    requests: str = choices.PLAIN,
    client: str = choices.OWN,
    servers: Sequence[str] = choices.SERVERS,
    progress: Callable[[], object] = lambda: None,
) -> Bench:
    """The reference takes part in any case. `progress` is called after each run.

    ValueError for a wrong argument, RuntimeError, with its name, for a server that fails, OSError as the kernel says.
    """
    _check(connections, rounds, seconds, requests, client, servers)
    asked, runs = ASKED[requests], []
    wanted = [each for each in CONTESTANTS if each.name in {choices.REFERENCE, *servers}]
    missing = {each.name: reason for each in wanted if (reason := each.unavailable())}
    taking_part = [each for each in wanted if each.name not in missing]
    facts = circumstances() | {"rounds": rounds, "seconds": seconds, "warm_up_s": min(WARM_UP_S, seconds)}
    with enough_descriptors(max(connections)):
        for level in connections:
            bear = [each for each in taking_part if each.connections >= level]
            missing |= {
                f"{each.name} at {level} connections": f"it bears {each.connections}"
                for each in taking_part
                if each not in bear
            }
            for number in range(1, rounds + 1):
                for name in (each.name for each in bear):
                    try:
                        with running(name, requests) as server:
                            figures = _run(server, asked, level, seconds, client)
                    except (WrongResponse, ConnectionError, TimeoutError) as error:
                        raise RuntimeError(f"{name} with {level} connections: {error}") from error
                    runs.append(Run(name, level, number, **figures))
                    progress()
    facts["load_after"] = load()
    http = {each.name: each.http for each in CONTESTANTS}
    return Bench(requests, client, facts, runs, rows_of(runs, http, choices.REFERENCE), missing)


def runs_ahead(connections: Sequence[int], rounds: int, servers: Sequence[str]) -> int:
    """How often `progress` will be called."""
    there = [each for each in CONTESTANTS if each.name in {*servers, choices.REFERENCE} and not each.unavailable()]
    return rounds * sum(each.connections >= level for level in connections for each in there)


def _run(server: Running, asked: Asked, connections: int, seconds: float, client: str) -> dict:
    with Client(server.port, asked, connections) as first:
        first.run(min(WARM_UP_S, seconds))
    return (_under_wrk if client == choices.WRK else _under_own)(server, asked, connections, seconds)


def _under_own(server: Running, asked: Asked, connections: int, seconds: float) -> dict:
    with Client(server.port, asked, connections) as client:
        client.run(0)  # one request on each: all of them are accepted
        handled, cpu_ns = server.handled(), cpu_time.tree_ns(server.process_id)
        load = client.run(seconds)
        cpu_ns = cpu_time.tree_ns(server.process_id) - cpu_ns
    figures = Figures(load.requests, load.wall_ns, *percentiles(load.latencies_ns))
    counts = {"handled": server.handled() - handled, "cpu_ns": cpu_ns, "client_cpu_ns": load.cpu_ns}
    return figures._asdict() | counts


def _under_wrk(server: Running, asked: Asked, connections: int, seconds: float) -> dict:
    handled, cpu_ns = server.handled(), cpu_time.tree_ns(server.process_id)
    figures = wrk.run(server.port, asked, connections, seconds)
    cpu_ns = cpu_time.tree_ns(server.process_id) - cpu_ns
    counts = {"handled": server.handled() - handled, "cpu_ns": cpu_ns, "client_cpu_ns": None}
    return figures._asdict() | counts


def _check(connections, rounds, seconds, requests, client, servers) -> None:
    choices.check_numbers("connections", connections, choices.MOST_CONNECTIONS)
    choices.check_numbers("rounds", [rounds], choices.MOST_ROUNDS)
    if not choices.LEAST_S <= seconds <= choices.MOST_S:
        raise ValueError(f"seconds must be from {choices.LEAST_S} to {choices.MOST_S}, not {seconds!r}")
    choices.check_choice("requests", requests, choices.REQUESTS)
    choices.check_choice("client", client, choices.CLIENTS)
    for name in servers:
        choices.check_choice("server", name, choices.SERVERS)
    for reason in (cpu_time.unavailable(), wrk.unavailable() if client == choices.WRK else None):
        if reason:
            raise RuntimeError(reason)
