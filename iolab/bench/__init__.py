"""Side by side in one run: the servers of this package and those of others; the ways to wait for many descriptors.

    choices            names and limits
    application        what all servers run: the same handler, which counts what it has handled
    contestants        who takes part, by which loop, with whose HTTP, and why one cannot
    peer_http          HTTP for the peers: httptools alone, or that of our own servers
    peer_loops         asyncio, uvloop, gevent, tornado
    contestant         a contestant as a program, which ends with its parent
    running            that program from outside: its port, its count, its end
    cpu_time           what a process and its children have cost, by the kernel's books
    client, wrk        the load: a client of our own, which checks every response; wrk, which is faster
    measuring          interleaved rounds; results: medians and ratios, as JSON
    waits              the price of one wait against the number of descriptors on which nothing happens

Numbers are compared within one run only: another machine, another hour, another Python gives others.
"""
