"""Protocol Buffers, as much of them as it takes to write a message: a field is a key, then a value.

    08 96 01      field 1, wire type 0: the varint 150, seven bits a byte, the lowest first, the top bit says "more"
    12 02 68 69   field 2, wire type 2: two bytes follow, "hi"; a message inside a message looks just the same

Two facts that surprise. No name and no type is in the bytes: field numbers are all that a reader gets, so they are kept
for ever. And a negative number takes ten bytes, as the 64 bits of its two's complement. The consequence: a writer is
a few lines, and needs none of the code that a compiler makes of the .proto files. protobuf.dev/programming-guides/encoding
"""

import struct

_VARINT, _FIXED64, _LENGTH = 0, 1, 2  # wire types


def varint(number: int) -> bytes:
    """`number`, from -2 ** 63 to 2 ** 64 - 1, in one to ten bytes; ValueError where it is outside."""
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"number must fit in 64 bits, not {number}")
    rest, written = number & (1 << 64) - 1, bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def _key(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def integer(field: int, number: int) -> bytes:
    """A field of type int32, int64, uint32, uint64, bool or enum."""
    return _key(field, _VARINT) + varint(number)


def fixed64(field: int, number: int) -> bytes:
    """A field of type fixed64; struct.error where `number` does not fit."""
    return _key(field, _FIXED64) + struct.pack("<Q", number)


def double(field: int, number: float) -> bytes:
    """A field of type double."""
    return _key(field, _FIXED64) + struct.pack("<d", number)


def message(field: int, *fields: bytes) -> bytes:
    """A field of type message, made of its own fields; or of type bytes."""
    content = b"".join(fields)
    return _key(field, _LENGTH) + varint(len(content)) + content


def text(field: int, string: str) -> bytes:
    """A field of type string."""
    return message(field, string.encode())
