"""What POSIX AIO does to a whole process: its pool of threads, signals, callbacks, fork; each in a process of its own."""

import errno
import platform
import signal

import pytest

from iolab.kernel import posix_aio
from tests.posix_aio import in_a_process

pytestmark = [
    pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable())),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are facts of glibc"),
]
READS = """
pipes = [os.pipe() for _ in range({count})]
reads = [ControlBlock(r, bytearray(1)) for r, w in pipes]
for read in reads:
    aio_read(read)
"""
SIGNALS = """
number = signal.SIGRTMIN + 3
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
from iolab.kernel.signal_descriptor import open_signals, read_signals, SI_ASYNCIO
import select
descriptor = open_signals([number])
"""


# Facts 1 and 2: the pool


def test_forty_reads_that_wait_are_given_twenty_threads():
    program = """
until(lambda: asleep_in_read(20))
waiting = len(other_threads())
for r, w in pipes:
    os.write(w, b"x")
until(lambda: all(is_over(read) for read in reads))
tell([waiting, sum(aio_return(read) for read in reads)])
"""
    assert in_a_process(READS.format(count=40) + program) == [20, 40]


def test_with_aio_init_before_the_first_request_forty_reads_are_given_forty():
    program = f"""
early = aio_init(threads=64)
{READS.format(count=40)}
until(lambda: asleep_in_read(40))
late = aio_init(threads=100)
tell([early, late, len(other_threads())])
"""
    assert in_a_process(program) == [True, False, 40]


def test_twenty_reads_that_wait_starve_a_read_of_a_file():
    program = """
until(lambda: asleep_in_read(20))
file = os.open(sys.executable, os.O_RDONLY)
starved = ControlBlock(file, bytearray(4))
aio_read(starved)
before = aio_suspend([starved], 0.2)
os.write(pipes[0][1], b"x")
after = aio_suspend([starved], 20)
tell([before, after, aio_return(starved)])
"""
    assert in_a_process(READS.format(count=20) + program) == [False, True, 4]


def test_an_idle_helper_thread_ends_after_about_a_second():
    program = """
file = os.open(sys.executable, os.O_RDONLY)
read = ControlBlock(file, bytearray(4))
aio_read(read)
aio_suspend([read])
seen, start = len(other_threads()), time.monotonic()
until(lambda: not other_threads())
tell([seen, 0.5 < time.monotonic() - start])
"""
    assert in_a_process(program) == [1, True]


def test_the_idle_time_counts_even_after_the_first_request():
    program = f"""
{READS.format(count=1)}
in_time = aio_init(threads=5, idle_s=4)
os.write(pipes[0][1], b"x")
until(lambda: is_over(reads[0]))
time.sleep(2.5)
tell([in_time, len(other_threads())])
"""
    assert in_a_process(program) == [False, 1]


def test_a_helper_thread_blocks_every_signal_that_can_be_blocked():
    program = """
until(lambda: asleep_in_read(1))
[thread] = other_threads()
lines = open(f"/proc/self/task/{thread}/status").read().splitlines()
tell([int(line.split()[1], 16) for line in lines if line.startswith("SigBlk")])
"""
    [mask] = in_a_process(READS.format(count=1) + program)
    # valid_signals() leaves out those that glibc keeps for itself.
    free = {number for number in signal.valid_signals() if not mask >> (number - 1) & 1}
    assert free == {signal.SIGKILL, signal.SIGSTOP}


# Facts 7, 8, 9, 10: by signal


def test_a_signal_says_by_its_value_which_request_is_over():
    program = f"""{SIGNALS}
file = os.open(sys.executable, os.O_RDONLY)
values = [7, (1 << 40) + 1]
blocks = [ControlBlock(file, bytearray(4), notify=BySignal(number, value)) for value in values]
for block in blocks:
    aio_read(block)
found = []
while len(found) < 2:
    assert select.select([descriptor], [], [], 20)[0]
    found += read_signals(descriptor)
tell([[each.value for each in found], [each.code == SI_ASYNCIO for each in found],
      [each.sender == os.getpid() for each in found], [aio_return(block) for block in blocks]])
"""
    assert in_a_process(program) == [[7, (1 << 40) + 1], [True] * 2, [True] * 2, [4, 4]]


def test_a_signal_that_is_not_blocked_is_refused_before_the_request_is_begun():
    program = """
block = ControlBlock(0, bytearray(1), notify=BySignal(signal.SIGRTMIN, 1))
try:
    aio_read(block)
except ValueError as error:
    tell([str(int(signal.SIGRTMIN)) in str(error), block.begun, len(in_progress()), len(other_threads())])
"""
    assert in_a_process(program) == [True, False, 0, 0]


def test_a_signal_that_another_thread_has_not_blocked_ends_the_process():
    program = f"""
thread = threading.Thread(target=time.sleep, args=(20,), daemon=True)
thread.start()
{SIGNALS}
block = ControlBlock(os.open(sys.executable, os.O_RDONLY), bytearray(4), notify=BySignal(number))
tell("until here")
aio_read(block)
time.sleep(20)
"""
    assert in_a_process(program, returncode=-(signal.SIGRTMIN + 3)) == "until here"


def test_when_the_queue_of_signals_is_full_bytes_are_read_and_the_results_lost():
    program = f"""{SIGNALS}
resource.setrlimit(resource.RLIMIT_SIGPENDING, (4, 4))
pipes = [os.pipe() for _ in range(8)]
for r, w in pipes:
    os.write(w, b"x")
buffers = [bytearray(1) for _ in pipes]
blocks = [ControlBlock(r, buffer, notify=BySignal(number, 1)) for (r, w), buffer in zip(pipes, buffers)]
for block in blocks:
    aio_read(block)
until(lambda: all(is_over(block) for block in blocks))
for r, w in pipes:
    os.set_blocking(r, False)
def left(fd):
    try:
        return len(os.read(fd, 1))
    except BlockingIOError:
        return 0
tell([[aio_error(block) for block in blocks], b"".join(buffers).decode(), sum(left(r) for r, w in pipes),
      len(read_signals(descriptor))])
"""
    errors, brought, left, signals = in_a_process(program)
    assert (brought, left) == ("x" * 8, 0)  # every byte was read ...
    # ... and the requests whose signal found no room say that they failed. The limit counts the pending signals of all
    # processes of this user: four is the most that there is room for, not the least.
    assert set(errors) <= {0, errno.EAGAIN}
    assert errors.count(0) == signals <= 4


def test_a_batch_tells_of_its_end_once_beside_what_each_block_tells():
    program = f"""{SIGNALS}
file = os.open(sys.executable, os.O_RDONLY)
blocks = [ControlBlock(file, bytearray(4), notify=BySignal(number, value)) for value in (1, 2, 3)]
lio_listio([(LIO_READ, block) for block in blocks], wait=False, notify=BySignal(number, 100))
found = []
while len(found) < 4:
    assert select.select([descriptor], [], [], 20)[0]
    found += [each.value for each in read_signals(descriptor)]
tell(found)
"""
    values = in_a_process(program)
    assert sorted(values) == [1, 2, 3, 100]
    assert values[-1] == 100


# Fact 7: by thread


def test_each_callback_runs_in_a_new_thread_in_which_no_signal_is_blocked():
    program = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
file, seen = os.open(sys.executable, os.O_RDONLY), []
gate = threading.Barrier(4)
def function():
    seen.append([threading.get_native_id(), [line for line in open("/proc/thread-self/status") if "SigBlk" in line]])
    gate.wait(20)  # all three are alive at once
blocks = [ControlBlock(file, bytearray(4), notify=ByThread(function)) for _ in range(3)]
for block in blocks:
    aio_read(block)
gate.wait(20)
assert wait_for_callbacks(limit_s=20)
tell([len({thread for thread, _ in seen} - {threading.get_native_id()}), {line.split()[1] for _, [line] in seen}.pop(),
      sum(aio_return(block) for block in blocks), len(callback_errors)])
"""
    assert in_a_process(program) == [3, "0" * 16, 12, 0]


def test_what_a_callback_raises_is_kept():
    program = """
file = os.open(sys.executable, os.O_RDONLY)
block = ControlBlock(file, bytearray(4), notify=ByThread(lambda: 1 / 0))
aio_read(block)
assert wait_for_callbacks(limit_s=20)
tell([type(error).__name__ for error in callback_errors])
"""
    assert in_a_process(program) == ["ZeroDivisionError"]


def test_a_callback_on_its_way_runs_before_the_process_ends_and_a_read_that_waits_does_not_keep_it():
    program = """
r, w = os.pipe()
never = ControlBlock(r, bytearray(1), notify=ByThread(lambda: tell("never")))
aio_read(never)
block = ControlBlock(os.open(sys.executable, os.O_RDONLY), bytearray(4), notify=ByThread(lambda: tell("called")))
aio_read(block)
aio_suspend([block])
"""
    assert in_a_process(program) == "called"


def test_a_process_ends_well_while_threads_still_write_to_its_buffers():
    program = (
        READS.format(count=20)
        + """
del reads, read
gc.collect()
tell(len(in_progress()))
import atexit
atexit.register(lambda: [os.write(w, b"x") for r, w in pipes])
"""
    )
    assert in_a_process(program) == 20


# Fact 11: fork


def test_a_forked_child_is_refused_clearly_and_its_parent_goes_on():
    program = (
        READS.format(count=1)
        + """
child = os.fork()
if not child:
    refusals = []
    for ask in (lambda: aio_error(reads[0]), lambda: aio_suspend(reads), lambda: aio_cancel(pipes[0][0]),
                lambda: aio_read(ControlBlock(0, bytearray(1))), lambda: aio_init(threads=5),
                lambda: lio_listio([(LIO_READ, ControlBlock(0, bytearray(1)))])):
        try:
            ask()
        except RuntimeError as error:
            refusals.append("fork" in str(error))
    os._exit(0 if refusals == [True] * 6 else 1)
status = os.waitpid(child, 0)[1]
os.write(pipes[0][1], b"x")
aio_suspend(reads, 20)
tell([status, aio_return(reads[0])])
"""
    )
    assert in_a_process(program) == [0, 1]


def test_in_a_forked_child_the_copy_of_a_request_never_ends():
    program = (
        READS.format(count=1)
        + """
until(lambda: asleep_in_read(1))
from iolab.kernel.posix_aio_layout import library
child = os.fork()
if not child:
    os.write(pipes[0][1], b"x")  # the parent's helper thread takes it
    until(lambda: open(f"/proc/{os.getppid()}/stat").read().rpartition(") ")[2][0] in "SZ")
    time.sleep(0.2)
    os._exit(library().aio_error(reads[0].address) == errno.EINPROGRESS)
until(lambda: is_over(reads[0]))
tell([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), aio_return(reads[0])])
"""
    )
    assert in_a_process(program) == [1, 1]


def test_a_child_of_a_process_that_had_not_begun_may_begin():
    program = """
child = os.fork()
if not child:
    block = ControlBlock(os.open(sys.executable, os.O_RDONLY), bytearray(4))
    aio_read(block)
    aio_suspend([block], 20)
    os._exit(aio_return(block))
tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_a_process(program) == 4
