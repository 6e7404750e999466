"""`iolab doctor | timeline | compare`: exit code 0, or one line on stderr and 2 (wrong use) or 1 (it failed)."""

import os
import signal
import sys

# Anything else is imported once Ctrl-C is provided for: until then the interpreter would answer with a traceback.


def main(arguments: list[str] | None = None) -> int:
    """Run one command; `arguments` are those of the command line unless given."""
    in_a_terminal = arguments is None
    if in_a_terminal:
        signal.signal(signal.SIGINT, _leave)
    try:
        from iolab.commands import run

        return run(sys.argv[1:] if in_a_terminal else arguments)
    except BrokenPipeError:  # `iolab ... | head`: nobody reads on, and that is all right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        if in_a_terminal:  # all is done; while the interpreter clears up, Ctrl-C would end it without a word
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number, frame) -> None:
    """Ctrl-C: the kernel closes all descriptors, and each sender ends when its stdin does. Tracing would go on."""
    os.write(2, b"iolab: interrupted\n")
    if instances := sys.modules.get("iolab.kernel.trace_instances"):
        instances.leave_nothing()
    os._exit(1)
