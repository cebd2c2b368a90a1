"""Arrays that are mapped files: their pages need not stay in memory once read."""

import mmap
from typing import Any

import numpy as np


def of(x: Any) -> np.memmap | None:
    """The mapped file that x is of, None where it is of memory that can be changed."""
    while isinstance(x, np.ndarray):
        # In mode 'c' changes are in no file.
        if isinstance(x, np.memmap) and x.mode == "r":
            return x
        x = x.base
    return None


def release(x: Any) -> None:
    """Lets the pages go that were read of a mapped file, if x is of one.

    They stay in the system's cache; whoever reads them again finds them there.
    """
    found = of(x)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        found._mmap.madvise(mmap.MADV_DONTNEED)
