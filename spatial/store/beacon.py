"""Mark of the catalogue's revision in shared memory (版本信标): whether anything was published since one last looked.

To ask SQLite for the revision takes 13 µs of a request that costs 35 µs in all (a tile that stands ready). The mark is 16
bytes beside the database, mapped by every process of the machine: the number of the publication that began last and of the
one that ended last. A publication takes its number while it holds the database's write lock, before it commits, and writes
it as ended after. While both are equal and as they were, nothing was committed. A writer that dies in between leaves them
unequal: then every reader asks the database, as without a mark.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

__all__ = ["Beacon"]

_NUMBER = struct.Struct("<Q")


class Beacon:
    """The mark of one database.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ours, theirs = Beacon(Path(folder) / "mark"), Beacon(Path(folder) / "mark")
    ...     before = ours.mark()
    ...     number = theirs.begin()
    ...     during = ours.mark()
    ...     theirs.end(number)
    ...     before is not None, during, ours.mark() not in (None, before), ours.mark() == theirs.mark()
    (True, None, True, True)
    """

    def __init__(self, path: Path) -> None:
        self._bytes: mmap.mmap | None = None
        try:
            # A file of its own: nothing is locked in it, so that closing it takes no lock of SQLite's away.
            with path.open("a+b") as file:
                if os.fstat(file.fileno()).st_size < 2 * _NUMBER.size:
                    os.ftruncate(file.fileno(), 2 * _NUMBER.size)
                self._bytes = mmap.mmap(file.fileno(), 2 * _NUMBER.size)
        except OSError:
            pass  # a folder that cannot be written: every reader asks the database

    def mark(self) -> bytes | None:
        """What to compare with an earlier mark; None while something is being published."""
        if self._bytes is None:
            return None
        found = self._bytes[:]
        return found if found[:8] == found[8:] else None

    def begin(self) -> int:
        """Number of a publication; to be called with the database's write lock, before the commit."""
        if self._bytes is None:
            return 0
        number = int(_NUMBER.unpack_from(self._bytes, 0)[0]) + 1
        _NUMBER.pack_into(self._bytes, 0, number)
        return number

    def end(self, number: int) -> None:
        """The publication was committed, or came to nothing."""
        if self._bytes is not None:
            _NUMBER.pack_into(self._bytes, 8, number)
