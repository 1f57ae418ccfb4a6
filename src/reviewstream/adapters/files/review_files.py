"""Open review files: .json, .jsonl, .gz, .zst, and tar archives of these.

The format is detected from the first bytes, not from the name: the Yelp archive has been published
as a gzipped file named `.tar`. A compressed file is decompressed once into an unnamed temporary
file, so nothing is left behind however the process ends.
"""

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Protocol, TypeAlias

import zstandard

from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.errors import ConfigError

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of compressed bytes that are done, and the total."""

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
FOREIGN: Final = {b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}
PACKED_SUFFIXES: Final = {".gz", ".zst", ".tgz", ".tzst"}
PIECE: Final = 1 << 20  # bytes decompressed at once
ZSTD_PIECE: Final = 512  # compressed bytes taken at once: 4 of them expand to 128 KiB at most
CORRUPT: Final = (tarfile.TarError, zlib.error, zstandard.ZstdError, EOFError, gzip.BadGzipFile)


def open_log(
    path: Path | str,
    *,
    member: str | None = None,
    name: str | None = None,
    follow: bool = False,
    progress: Progress | None = None,
) -> ReviewLog:
    """Open a review file as a log.

    Args:
        path: The file, or `ARCHIVE:MEMBER`.
        member: Name of the file in a tar archive.
        name: Name of the source; None for the file's name without `.gz` or `.zst`.
        follow: The file may grow.
        progress: Called with the progress of the decompression.

    Raises:
        ConfigError: The file does not exist, cannot be read, or its name cannot be recorded; the
            message says what to do.
    """
    path, member = _split(Path(path), member)
    with ExitStack() as opened:
        file = opened.enter_context(_open(path))
        start = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        _refuse_foreign(path, start)
        packed = start.startswith((GZIP, ZSTD))
        is_tar = not packed and _is_tar(start)
        if follow and (packed or is_tar):
            raise ConfigError(f"{path} is packed and cannot grow: leave out --follow, or unpack it")
        try:
            if packed:
                return _spool(path, file, member=member, name=name, progress=progress)
            if is_tar:
                log = _in_place(path, file, member=member, name=name)
            elif member:
                raise ConfigError(f"{path} is not a tar archive: leave out the member {member!r}")
            else:
                log = ReviewLog(file, source=_source(name or path.name), path=path, follow=follow)
        except CORRUPT as err:
            raise ConfigError(f"{path} is damaged ({err}): fetch it again") from err
        opened.pop_all()
        return log


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _split(path: Path, member: str | None) -> tuple[Path, str | None]:
    archive, colon, inside = str(path).rpartition(":")
    if member is None and colon and not path.exists() and Path(archive).is_file():
        return Path(archive), inside
    return path, member


def _open(path: Path) -> IO[bytes]:
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise ConfigError(f"{path} is {kind}: give the path of a review file")
        return path.open("rb")
    except FileNotFoundError as err:
        raise ConfigError(f"no such file: {path}; give the path of a review file") from err
    except OSError as err:
        raise ConfigError(f"cannot read {path} ({err.strerror}): check its permissions") from err


def _source(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as err:  # a file name with bytes that are not UTF-8
        raise ConfigError(
            f"the name {name!r} is not UTF-8: rename the file, or serve it with --name NAME"
        ) from err
    return name


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, kind in FOREIGN.items():
        if start.startswith(magic):
            raise ConfigError(f"{path} is packed with {kind}, which is not read here: unpack it")


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _in_place(path: Path, file: IO[bytes], *, member: str | None, name: str | None) -> ReviewLog:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        found = _choose(path, list(archive), member)
    return ReviewLog(
        file,
        source=_source(name or PurePosixPath(found.name).name),
        path=path,
        base=found.offset_data,
        size=found.size,
    )


def _choose(path: Path, members: list[tarfile.TarInfo], wanted: str | None) -> tarfile.TarInfo:
    regular = [one for one in members if one.isreg() and not one.issparse()]
    files = {one.name.removeprefix("./"): one for one in regular}  # the last of a name, as in tar
    if wanted is None:
        found = [one for name, one in files.items() if name.endswith((".json", ".jsonl"))]
    else:
        found = [one for name, one in files.items() if name == wanted.removeprefix("./")]
    if len(found) == 1:
        return found[0]
    names = ", ".join([*files][:20]) or "no files"
    wish = f"no member {wanted!r}" if wanted else "more than one file, or none that ends in .json"
    raise ConfigError(f"{path} has {wish}: choose with --member NAME; it holds {names}")


def _spool(
    path: Path, file: IO[bytes], *, member: str | None, name: str | None, progress: Progress | None
) -> ReviewLog:
    total = os.fstat(file.fileno()).st_size

    def report() -> None:
        if progress is not None:
            progress(file.tell(), total)

    with _unpacked(file) as plain:
        start = plain.read(tarfile.BLOCKSIZE)
    if start.startswith((GZIP, ZSTD)):
        raise ConfigError(f"{path} is packed twice: unpack it once, then try again")
    is_tar = _is_tar(start)
    if is_tar:
        source, spooled = _spool_member(path, file, member, name, report)
    elif member:
        raise ConfigError(f"{path} is not a tar archive: leave out the member {member!r}")
    else:
        inside = path.stem if path.suffix in PACKED_SUFFIXES else path.name
        source = _source(name or inside)
        with _unpacked(file) as plain:
            spooled = _copied(plain, report)
    return ReviewLog(spooled, source=source)


@contextmanager
def _unpacked(file: IO[bytes]) -> Iterator[io.BufferedIOBase]:
    """Open the file's decompressed bytes, from the start."""
    file.seek(0)
    is_gzip = file.read(len(GZIP)) == GZIP
    file.seek(0)
    with gzip.GzipFile(fileobj=file) if is_gzip else io.BufferedReader(_ZstdFile(file)) as plain:
        yield plain


class _ZstdFile(io.RawIOBase):
    """A zstd reader that, unlike zstandard's, reports a truncated file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._pieces = self._unpack(file)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - typeshed's Buffer needs Python 3.12
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    @staticmethod
    def _unpack(file: IO[bytes]) -> Iterator[bytes]:
        frame, frame_is_open = zstandard.ZstdDecompressor().decompressobj(), False
        while packed := file.read(ZSTD_PIECE):
            while packed:
                if piece := frame.decompress(packed):
                    yield piece
                frame_is_open, packed = not frame.eof, frame.unused_data
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
        if frame_is_open:
            raise EOFError("it ends in the middle")


def _spool_member(
    path: Path, file: IO[bytes], wanted: str | None, name: str | None, report: Callable[[], None]
) -> tuple[str, IO[bytes]]:
    with _unpacked(file) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        found = _choose(path, list(archive), wanted)
    source = _source(name or PurePosixPath(found.name).name)
    with _unpacked(file) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        for one in archive:
            is_found = (one.name, one.offset) == (found.name, found.offset)
            if is_found and (content := archive.extractfile(one)) is not None:
                return source, _copied(content, report)
    raise ConfigError(f"{path} changed while it was read: try again")


def _copied(source: _Readable, report: Callable[[], None]) -> IO[bytes]:
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - the log closes it, which deletes it
    try:
        while piece := source.read(PIECE):
            spooled.write(piece)
            report()
        spooled.flush()
    except OSError as err:
        spooled.close()
        if isinstance(err, gzip.BadGzipFile):
            raise
        raise ConfigError(
            f"cannot unpack into {tempfile.gettempdir()} ({err.strerror}):"
            " free some space, or set TMPDIR to a larger disk"
        ) from err
    except BaseException:
        spooled.close()
        raise
    return spooled
