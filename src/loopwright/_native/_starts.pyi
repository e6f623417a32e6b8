from collections.abc import Sequence
from os import PathLike
from typing import TypeAlias, final

from loopwright._core import ExitStatus

Extras: TypeAlias = tuple[
    int | None,  # process group
    int | None,  # umask
    int | None,  # niceness
    int | None,  # parent-death signal
    int | None,  # descriptor of a cgroup
    int | None,  # user
    int | None,  # group
    tuple[int, ...] | None,  # supplementary groups
    tuple[tuple[int, int, int], ...] | None,  # resource limits: which, soft, hard
    bytes | None,  # mask of CPUs
]

CAN_CLONE: bool
STAGES: tuple[str, ...]
NEW_SESSION: int
TAKE_TERMINAL: int
CLOSE_FDS: int
RESTORE_SIGNALS: int
COPY_MEMORY: int
NEW_PID_NAMESPACE: int
SETTLE_LATE: int

@final
class StartPort:
    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def has_done(self) -> bool: ...
    def drain(self) -> list[Start]: ...
    def close(self) -> None: ...

@final
class Start:
    def __init__(
        self,
        programs: tuple[bytes, ...] | None,
        argv: Sequence[str | bytes | PathLike[str]],
        env: tuple[bytes, ...] | None,
        folder: bytes | None,
        streams: tuple[int, int, int],
        flags: int,
        keep: tuple[int, ...],
        extras: Extras | None,
    ) -> None: ...
    @property
    def error(self) -> int: ...
    @property
    def stage(self) -> int: ...
    @property
    def needs_worker(self) -> bool: ...
    @property
    def was_reaped(self) -> bool: ...
    def take(self) -> tuple[int, int, ExitStatus | None]: ...
    def run(self) -> bool: ...
    def submit(self, port: StartPort) -> bool: ...
    def abandon(self) -> None: ...

def forget_all() -> None: ...
def busy() -> int: ...
