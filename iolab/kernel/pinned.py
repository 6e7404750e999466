"""A buffer that the kernel may write to later: its address, and a promise that nobody moves or frees it meanwhile.

    pin(buffer) ──> address ──> kernel ......... writes ──> completion ──> the pin is dropped
    meanwhile: bytearray.append raises BufferError, mmap.close raises BufferError, the last `del` frees nothing

Two facts that surprise:
* A reference alone is not enough: bytearray.extend moves the bytes elsewhere and frees the old place, while every
  reference stays valid. Only an export of the buffer protocol forbids that.
* ctypes' from_buffer() refuses read-only objects, so the bytes of a send have no address that way. The interpreter's
  own PyObject_GetBuffer takes both.

Python/C API reference manual, "Buffer Protocol".
"""

import ctypes


class _PyBuffer(ctypes.Structure):
    """Py_buffer, part of the stable ABI since Python 3.11."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_WRITABLE, _SIMPLE = 1, 0  # PyBUF_WRITABLE, PyBUF_SIMPLE: contiguous bytes
_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.c_void_p,)
_release_buffer.restype = None


class Pinned:
    """An export of `buffer` for as long as this object lives: `address`, and `nbytes` behind it.

    BufferError when the buffer is not contiguous, or `writable` is asked of one that is not.
    """

    __slots__ = ("address", "nbytes", "_view")

    def __init__(self, buffer, writable: bool = False) -> None:
        self._view = None
        view = _PyBuffer()
        _get_buffer(buffer, ctypes.addressof(view), _WRITABLE if writable else _SIMPLE)
        self._view, self.address, self.nbytes = view, view.buf or 0, view.len

    def __del__(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            _release_buffer(ctypes.addressof(view))
