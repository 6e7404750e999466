"""iolab: the I/O models of Unix, each in one short file, and what the kernel really did.

The floors, from the roof to the ground; a file imports only from its own floor or from lower ones:

    command_line         `iolab ...` in a terminal; options and commands behind it
    widgets              panels for a notebook: controls around what is below
    exercises            the checks behind the notebooks' exercises and predictions
    doctor               what this machine offers, in the kernel's own words
    drawing              figures, tables and sentences; reads Timelines, never measures
    bench                servers and waits side by side, in one run
    recording            scenario, sender, evidence, assembling, Timeline, experiment; recordings
    recorded             runs of another machine, for what this one refuses: data, and how it is found
    aio_demo             the lecture's program on POSIX AIO, and its better versions
    servers              reactor and proactor, HTTP on each, and the bookstore behind both
    models               one file, one I/O model: read it, that is what it is for
    kernel               what Python's standard library lacks; the only ctypes
    recorder             writes down the calls that a model names, with the clock and the kernel's count of sleeps
    calls                the ground: how a model names the system calls that it makes
"""

__version__ = "0.2.0"
