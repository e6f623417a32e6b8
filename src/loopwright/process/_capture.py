"""What a process writes, kept: all of it, or no more than so much."""

from __future__ import annotations

__all__ = ["Capture", "Tail"]


class Tail:
    """The last `longest` bytes of a stream, in at most twice that memory and one block."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._kept = bytearray()
        self.total = 0
        """How many bytes there were."""

    def add(self, block: bytes | memoryview) -> None:
        """What comes next."""
        self.total += len(block)
        self._kept += block[-self._longest :] if self._longest else b""
        # At twice as much, not at once, so that each byte is moved once and not with every block.
        if len(self._kept) > 2 * self._longest:
            del self._kept[: -self._longest or None]

    def value(self) -> bytes:
        """The last of what came."""
        return bytes(self._kept[-self._longest :]) if self._longest else b""


class Capture:
    """What a stream brings. With a `limit`, its beginning and its end, each half of the limit, if it brings more."""

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and not isinstance(limit, int):
            raise TypeError(f"limit is a number of bytes, not {limit!r}")
        if limit is not None and limit < 0:
            raise ValueError(f"limit is a number of bytes, 0 or more, not {limit!r}")
        self._limit = limit
        self._head: list[bytes] = []
        # The rest, for the end, is a multiple of four: the cut must not shift the characters of UTF-16 and UTF-32.
        self._room = 0 if limit is None else limit - limit // 2 // 4 * 4
        self._tail = Tail(0 if limit is None else limit - self._room)
        self.total = 0
        """How many bytes the stream brought."""

    @property
    def over(self) -> bool:
        """Whether it brought more than the limit."""
        return self._limit is not None and self.total > self._limit

    @property
    def omitted(self) -> int:
        """How many bytes are left out."""
        return 0 if self._limit is None else max(0, self.total - self._limit)

    def add(self, block: bytes) -> None:
        """What comes next."""
        self.total += len(block)
        if self._limit is None:
            self._head.append(block)
            return
        if self._room:
            self._head.append(block[: self._room])
            block = block[self._room :]
            self._room -= len(self._head[-1])
        if block:
            self._tail.add(block)

    def parts(self) -> tuple[bytes, bytes]:
        """The beginning, and the end; the end is empty if nothing is left out."""
        head, tail = b"".join(self._head), self._tail.value()
        return (head, tail) if self.omitted else (head + tail, b"")
