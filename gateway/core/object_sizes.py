"""What values take in this process's memory, in bytes, so that a bound in a setting is one in the machine, too.

`sys.getsizeof` alone says less: it counts neither what a value refers to nor how allocators round. A size here is that
of everything reachable, also where several values share it; interpreter-wide objects (None, enums, classes) are free.
"""

import sys
from collections.abc import Mapping
from enum import Enum
from typing import Any

PYMALLOC_UP_TO = 512
_FREE = (type(None), bool, Enum, type)


def shrunk(content: bytes) -> bytes:
    """The same bytes in a buffer of their own length.

    orjson and zstandard hand out buffers that are larger than their content (an orjson text of 87 bytes holds 8 kB);
    `sys.getsizeof` does not show it.
    """
    return bytes(memoryview(content))


def block(size: int) -> int:
    """What an allocator takes for this many bytes: steps of 16, and above 512 a header of 8 (glibc's malloc)."""
    return (size + (15 if size <= PYMALLOC_UP_TO else 23)) // 16 * 16


def size_of(value: Any) -> int:
    """The size of plain data: texts, numbers, tuples, lists, mappings, and dataclasses with slots."""
    if isinstance(value, _FREE):
        return 0
    size = block(sys.getsizeof(value))
    if isinstance(value, str | bytes | int | float):
        return size
    if isinstance(value, Mapping):
        return size + sum(size_of(name) + size_of(item) for name, item in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return size + sum(map(size_of, value))
    return size + sum(size_of(getattr(value, name, None)) for name in type(value).__slots__)
