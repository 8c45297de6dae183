"""Archives with the same bytes for the same files: no times, no owners, sorted. Knows no service."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from plaudit.places.aws.parts import Contents

LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_zip(path: Path, contents: Contents) -> Path:
    """A zip archive at ``path``; a stop leaves no half of one."""
    part = _part(path)
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, contents[name])
    return part.replace(path)


def write_tar_gz(path: Path, contents: Contents) -> Path:
    """A gzipped tar archive at ``path``; a stop leaves no half of one."""
    part = _part(path)
    with (
        part.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name in sorted(contents):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(contents[name]), 0o644
            archive.addfile(entry, io.BytesIO(contents[name]))
    return part.replace(path)


def digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the file's sha256: its name where content decides."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _part(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(path.name + ".part")
