"""What io_uring's two queues look like in memory: the numbers and structures of <linux/io_uring.h>.

    SQE, 64 bytes   opcode flags ioprio fd │ off │ addr │ len op_flags │ user_data │ buf_group ...   program ──> kernel
    CQE, 16 bytes   user_data │ res flags                                                             kernel ──> program

Two facts that surprise:
* There is no function to call here. An operation is 64 bytes that the program writes into memory which the kernel
  shares, a result is 16 bytes that it reads there: so a binding is a table of offsets, the same on every machine.
* Where the queues' heads and tails lie is not in the header: io_uring_setup answers it (SQ_OFFSETS, CQ_OFFSETS).

So these names are the header's, without the prefix IORING_ where that leaves something to read. io_uring(7),
io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
"""

from struct import Struct

# Numbers of the system calls: younger than 424, hence the same on every machine.
NR_IO_URING_SETUP, NR_IO_URING_ENTER, NR_IO_URING_REGISTER = 425, 426, 427

# struct io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, op_flags, user_data, buf_group, personality,
# splice_fd_in, addr3, and 8 bytes of padding.
SQE = Struct("=BBHiQQIIQHHiQQ")
CQE = Struct("=QiI")  # struct io_uring_cqe: user_data, res, flags
# struct io_uring_params: sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, 12 reserved
# bytes; then what the kernel answers: SQ_OFFSETS at 40 and CQ_OFFSETS at 80.
PARAMS = Struct("=IIIIIII12x40s40s")
SQ_OFFSETS = Struct("=IIIIIIIIQ")  # head, tail, ring_mask, ring_entries, flags, dropped, array, reserved, user_addr
CQ_OFFSETS = Struct("=IIIIIIIIQ")  # head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved, user_addr
GETEVENTS_ARG = Struct(
    "=QIIQ"
)  # struct io_uring_getevents_arg: sigmask, its size, min_wait_usec, address of a timespec
TIMESPEC = Struct("=qq")  # struct __kernel_timespec: seconds, nanoseconds; 64 bits each, on 32-bit machines too
BUF = Struct("=QIHH")  # struct io_uring_buf: addr, len, bid, resv. In the first one, resv is the ring's tail.
BUF_REG = Struct("=QIHH24x")  # struct io_uring_buf_reg: ring_addr, ring_entries, bgid, flags, reserved

# Where mmap(2) finds them
OFF_SQ_RING, OFF_CQ_RING, OFF_SQES = 0, 0x8000000, 0x10000000

# io_uring_setup: flags asked for
SETUP_SQPOLL = 1 << 1  # a kernel thread, iou-sqp-PID, submits
SETUP_CQSIZE = 1 << 3
SETUP_CLAMP = 1 << 4  # too many entries become as many as there may be
SETUP_SUBMIT_ALL = 1 << 7  # one wrong SQE does not hold up those behind it
SETUP_COOP_TASKRUN = 1 << 8
SETUP_SINGLE_ISSUER = 1 << 12  # one thread submits; EEXIST for every other
SETUP_DEFER_TASKRUN = 1 << 13  # completions are carried out inside io_uring_enter(GETEVENTS), and nowhere else
SETUP_NO_SQARRAY = 1 << 16  # SQEs are taken in the order in which they lie

# io_uring_setup: features answered
FEAT_SINGLE_MMAP = 1 << 0
FEAT_NODROP = 1 << 1  # a full CQ loses nothing
FEAT_SUBMIT_STABLE = 1 << 2  # what an SQE points to, other than buffers, may be freed after the submission
FEAT_FAST_POLL = 1 << 5  # a socket that is not ready occupies no thread
FEAT_EXT_ARG = 1 << 8  # io_uring_enter takes a time-out

# io_uring_enter
ENTER_GETEVENTS, ENTER_SQ_WAKEUP, ENTER_SQ_WAIT, ENTER_EXT_ARG = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# Flags that the kernel keeps in the SQ ring
SQ_NEED_WAKEUP, SQ_CQ_OVERFLOW, SQ_TASKRUN = 1 << 0, 1 << 1, 1 << 2

# io_uring_register
REGISTER_PBUF_RING, UNREGISTER_PBUF_RING = 22, 23

# Opcodes
OP_NOP = 0
OP_POLL_ADD = 6
OP_TIMEOUT = 11
OP_ACCEPT = 13
OP_ASYNC_CANCEL = 14
OP_LINK_TIMEOUT = 15
OP_CLOSE = 19
OP_READ = 22
OP_WRITE = 23
OP_SEND = 26
OP_RECV = 27
OP_SHUTDOWN = 34

# Flags of every SQE
IOSQE_IO_DRAIN = 1 << 1
IOSQE_IO_LINK = 1 << 2  # the next one starts when this one has succeeded
IOSQE_IO_HARDLINK = 1 << 3  # the next one starts when this one is over, with or without success
IOSQE_ASYNC = 1 << 4  # do not try here first: a worker thread, iou-wrk-PID
IOSQE_BUFFER_SELECT = 1 << 5
IOSQE_CQE_SKIP_SUCCESS = 1 << 6

# Flags of single operations: in ioprio for recv and accept, in op_flags for the others, in len for poll
RECV_MULTISHOT = 1 << 1
ACCEPT_MULTISHOT = 1 << 0
POLL_ADD_MULTI = 1 << 0
ASYNC_CANCEL_ALL, ASYNC_CANCEL_FD, ASYNC_CANCEL_ANY = 1 << 0, 1 << 1, 1 << 2

# Flags of a CQE
CQE_F_BUFFER = 1 << 0  # the buffer's number is in the upper 16 bits
CQE_F_MORE = 1 << 1  # this operation will complete again
CQE_F_SOCK_NONEMPTY = 1 << 2
CQE_F_NOTIF = 1 << 3
CQE_BUFFER_SHIFT = 16
