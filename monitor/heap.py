"""What the C library keeps of memory that was let go of. Only glibc can be asked; anywhere else nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
import gc

#: of malloc.h
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8


def keep_little() -> None:
    """Have it give large pieces back once they are free, and keep few for each thread."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_ARENA_MAX, 2)
        library.mallopt(_MMAP_THRESHOLD, 1 << 20)


def give_back() -> None:
    """Have it return what it keeps."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
