"""Files for what is too much for memory. They have no name, so that nothing is left of them whatever happens."""

from __future__ import annotations

import weakref
from tempfile import TemporaryFile
from typing import IO


def file_of(owner: object) -> IO[bytes]:
    """A file without a name, to be written and read. It is closed when nothing holds its owner any more."""
    file = TemporaryFile()  # noqa: SIM115
    weakref.finalize(owner, file.close)
    return file
