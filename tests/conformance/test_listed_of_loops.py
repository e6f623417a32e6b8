"""What tests of CPython's check of a loop by private means (`differences/loops.toml`) and no other of ours does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.loops import NativeEventLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=NativeEventLoop) as runner:
        runner.run(asyncio.wait_for(main, 20))


def test_a_child_stays_there_until_the_loop_has_told_of_its_end() -> None:
    """Until then its number cannot be another's, and a signal reaches nobody else."""

    async def main() -> None:
        child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "read _ < /dev/zero")
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop is to hear of nothing
        time.sleep(0.1)  # noqa: ASYNC251 - likewise; threads may hear of it
        assert child.returncode is None
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # noqa: ASYNC222 - it does not wait
        assert await child.wait() == -signal.SIGKILL

    run(main())


def test_no_descriptor_is_left_of_a_child_whose_status_somebody_else_took() -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async def main() -> None:
        await (await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit")).wait()  # what is made once and kept
        before = descriptors()
        child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "read _ < /dev/zero")
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)  # noqa: ASYNC222 - who takes it is to be first
        assert await child.wait() in (255, -signal.SIGKILL)
        while descriptors() != before:  # noqa: ASYNC110 - what is closed makes no event
            await asyncio.sleep(0.01)

    run(main())


def test_all_arrives_that_was_written_before_and_after_close_while_the_kernel_took_no_more() -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Ending, sock=ours)
            transport.write(b"x" * 2_000_000)
            assert transport.get_write_buffer_size() > 0
            transport.close()
            transport.write(b"end")
            got = bytearray()
            while chunk := await loop.sock_recv(peer, 65536):
                got += chunk
            assert (len(got), bytes(got[-4:])) == (2_000_003, b"xend")
            assert await protocol.ended is None

    class Ending(asyncio.Protocol):
        def __init__(self) -> None:
            self.ended = asyncio.get_running_loop().create_future()

        def connection_lost(self, exc: Exception | None) -> None:
            self.ended.set_result(exc)

    run(main())


#: What becomes of what the system says: a signal that it keeps for itself is a RuntimeError, all else is told as it is.
REFUSALS = pytest.mark.parametrize(("number", "kind"), [(errno.EINVAL, RuntimeError), (errno.EFAULT, OSError)])


def refuse(number: int) -> Any:
    def refusing(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refusing


@REFUSALS
def test_what_the_system_says_of_a_signal_that_cannot_be_caught(
    number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(NativeEventLoop()) as loop:
        loop.add_signal_handler(signal.SIGUSR2, print)
        with monkeypatch.context() as patched:
            patched.setattr(signal, "signal", refuse(number))
            with pytest.raises(kind):
                loop.add_signal_handler(signal.SIGUSR1, print)
        assert not loop.remove_signal_handler(signal.SIGUSR1)
        assert loop.remove_signal_handler(signal.SIGUSR2)


@REFUSALS
def test_what_the_system_says_of_a_signal_that_cannot_be_given_back(
    number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(NativeEventLoop()) as loop:
        loop.add_signal_handler(signal.SIGUSR1, print)
        with monkeypatch.context() as patched:
            patched.setattr(signal, "signal", refuse(number))
            with pytest.raises(kind):
                loop.remove_signal_handler(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_a_signal_whose_handler_is_removed_does_what_python_has_it_do() -> None:
    with contextlib.closing(NativeEventLoop()) as loop:
        for number, default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            loop.add_signal_handler(number, print)
            assert signal.getsignal(number) not in (default, signal.SIG_DFL)
            assert loop.remove_signal_handler(number)
            assert signal.getsignal(number) is default
