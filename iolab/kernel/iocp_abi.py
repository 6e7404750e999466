"""The functions and structures of Windows' completion ports, as its headers declare them, with an error as OSError.

    OVERLAPPED   Internal │ InternalHigh │ Offset, OffsetHigh │ hEvent       minwinbase.h
                 NTSTATUS   bytes          where in the file    none: a packet tells

Two facts that surprise:
* An OVERLAPPED is nothing but memory of the caller's into which the kernel writes how it went, and its address is the
  operation's name: CancelIoEx takes it, and the packet brings it back. So it must stay where it is until then.
* "It has failed" is the everyday answer of a function that starts something: FALSE, and ERROR_IO_PENDING. Any other
  error means that nothing was started, and that no packet will come; but a message longer than its buffer is over, cut
  off, and has one.

This file imports everywhere; the libraries are loaded by the first call, on Windows. learn.microsoft.com: OVERLAPPED,
GetQueuedCompletionStatusEx, WSARecv, AcceptEx.
"""

import ctypes
import errno
import os
from functools import cache

HANDLE, DWORD, BOOL, POINTER = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p
INVALID_HANDLE, INFINITE = ctypes.c_void_p(-1).value, 0xFFFFFFFF
WAIT_TIMEOUT, ERROR_HANDLE_EOF, ERROR_INVALID_PARAMETER, FILE_TYPE_DISK = 258, 38, 87, 1
STARTED = (997, 234, 10040)  # ERROR_IO_PENDING; ERROR_MORE_DATA, WSAEMSGSIZE: a message longer than the buffer
MOST_NBYTES = 1 << 31  # of one operation: a length has 32 bits
ERRNO = {  # of Win32's errors those for which Python's own table has nothing better than EINVAL
    64: getattr(errno, "ECONNRESET", 0),  # ERROR_NETNAME_DELETED: a reset, and also a socket closed here
    121: getattr(errno, "ETIMEDOUT", 0),  # ERROR_SEM_TIMEOUT: nobody has acknowledged what was sent
    676: getattr(errno, "ECANCELED", 0),  # ERROR_HANDLES_CLOSED: Wine's, where its socket was closed
    995: getattr(errno, "ECANCELED", 0),  # ERROR_OPERATION_ABORTED
    1236: getattr(errno, "ECONNABORTED", 0),  # ERROR_CONNECTION_ABORTED
}


class Overlapped(ctypes.Structure):
    """OVERLAPPED; `internal` is an NTSTATUS, `internal_high` the bytes."""

    _fields_ = [
        ("internal", ctypes.c_size_t),
        ("internal_high", ctypes.c_size_t),
        ("offset", DWORD),
        ("offset_high", DWORD),
        ("event", HANDLE),
    ]


class OverlappedEntry(ctypes.Structure):
    """OVERLAPPED_ENTRY, a packet: whose, of which operation, how many bytes."""

    _fields_ = [("key", ctypes.c_size_t), ("overlapped", POINTER), ("internal", ctypes.c_size_t), ("nbytes", DWORD)]


class WsaBuffer(ctypes.Structure):
    """WSABUF: length first."""

    _fields_ = [("nbytes", ctypes.c_uint32), ("address", POINTER)]


class Guid(ctypes.Structure):
    """GUID: by this a socket's extra functions are asked for."""

    _fields_ = [("a", ctypes.c_uint32), ("b", ctypes.c_uint16), ("c", ctypes.c_uint16), ("d", ctypes.c_uint8 * 8)]


_SIGNATURES = {
    "kernel32": {
        "CreateIoCompletionPort": (HANDLE, HANDLE, HANDLE, ctypes.c_size_t, DWORD),
        "GetQueuedCompletionStatusEx": (BOOL, HANDLE, POINTER, ctypes.c_uint32, POINTER, DWORD, BOOL),
        "PostQueuedCompletionStatus": (BOOL, HANDLE, DWORD, ctypes.c_size_t, POINTER),
        "CancelIoEx": (BOOL, HANDLE, POINTER),
        "CloseHandle": (BOOL, HANDLE),
        "GetFileType": (DWORD, HANDLE),
        "ReOpenFile": (HANDLE, HANDLE, DWORD, DWORD, DWORD),
        "ReadFile": (BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER),
        "WriteFile": (BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER),
    },
    "ws2_32": {
        "WSARecv": (ctypes.c_int, HANDLE, POINTER, DWORD, POINTER, POINTER, POINTER, POINTER),
        "WSASend": (ctypes.c_int, HANDLE, POINTER, DWORD, POINTER, DWORD, POINTER, POINTER),
        "WSAIoctl": (ctypes.c_int, HANDLE, DWORD, POINTER, DWORD, POINTER, DWORD, POINTER, POINTER, POINTER),
    },
    "ntdll": {"RtlNtStatusToDosError": (ctypes.c_uint32, ctypes.c_uint32)},
}
ACCEPT_EX = (BOOL, HANDLE, HANDLE, POINTER, DWORD, DWORD, DWORD, POINTER, POINTER)
WSAID_ACCEPTEX = Guid(0xB5367DF1, 0xCBAC, 0x11CF, (ctypes.c_uint8 * 8)(0x95, 0xCA, 0x00, 0x80, 0x5F, 0x48, 0xA1, 0x92))


@cache
def function(name: str):
    """A function of Windows by its name. OSError with ENOSYS on other systems."""
    if os.name != "nt":
        raise OSError(errno.ENOSYS, "a function of Windows", name)
    library = next(each for each, names in _SIGNATURES.items() if name in names)
    found = getattr(ctypes.WinDLL(library, use_last_error=True), name)
    found.restype, *found.argtypes = _SIGNATURES[library][name]
    return found


def wine_version() -> str | None:
    """Of the Wine that stands in for Windows here; None on Windows, and elsewhere."""
    if os.name != "nt":
        return None
    version = getattr(ctypes.WinDLL("ntdll"), "wine_get_version", None)
    if version is not None:
        version.restype = ctypes.c_char_p
    return version and version().decode()


@cache
def accept_ex(sock: int):
    """AcceptEx is in no library: the socket's provider is asked for its address. OSError."""
    address, nbytes = ctypes.c_void_p(), DWORD()
    refused = function("WSAIoctl")(
        sock, 0xC8000006, ctypes.addressof(WSAID_ACCEPTEX), ctypes.sizeof(Guid),  # SIO_GET_EXTENSION_FUNCTION_POINTER
        ctypes.addressof(address), ctypes.sizeof(address), ctypes.addressof(nbytes), None, None,
    )  # fmt: skip
    if refused:
        raise failed("WSAIoctl")
    return ctypes.WINFUNCTYPE(*ACCEPT_EX, use_last_error=True)(address.value)


def errno_of(winerror: int) -> int:
    """The errno of an error of Windows', as Python's OSError has it, and better for a few."""
    return ERRNO.get(winerror) or OSError(0, "", None, winerror).errno


def winerror_of(status: int) -> int:
    """The Win32 error of an NTSTATUS; 0 for success."""
    return function("RtlNtStatusToDosError")(status & 0xFFFFFFFF) if status else 0


def failed(name: str, winerror: int | None = None) -> OSError:
    """The error of the call that has just failed, or `winerror`; its function's name in place of a file's."""
    number = ctypes.get_last_error() if winerror is None else winerror
    words = ctypes.FormatError(number).strip() or f"error {number}"
    error = OSError(0, words, name, number)  # its class fits the errno of Python's table
    error.errno = errno_of(number)
    return error
