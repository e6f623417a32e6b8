"""Starting: what the arguments do, and that whatever fails leaves neither a child nor a descriptor."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loopwright.process import DEVNULL, PIPE, STDOUT, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Soon = Callable[..., None]
    Descriptors = Callable[[], set[tuple[int, str]]]

ALL_PIPES: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}


async def output(args: Any, **options: Any) -> str:
    """What a program writes to its standard output."""
    async with await spawn(args, stdout=PIPE, **options) as process:
        written, _ = await process.communicate()
        status = await process.wait()
        assert status.success, status
    assert written is not None
    return written.decode()


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", textwrap.dedent(code)]


def sh(script: str, *args: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *args]


# --- streams


def test_pipes_for_all_three(run: Run) -> None:
    async def main() -> None:
        async with await spawn(sh("read line; echo out $line; echo err $line >&2"), **ALL_PIPES) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write(b"hello\n")
            await process.stdin.drain()
            assert await process.stdout.readline() == b"out hello\n"
            assert await process.stderr.readline() == b"err hello\n"
            assert await process.stdout.read() == b""
            assert (await process.wait()).success

    run(main())


def test_no_pipes_unless_asked_for(run: Run) -> None:
    async def main() -> None:
        async with await spawn(["true"]) as process:
            assert (process.stdin, process.stdout, process.stderr) == (None, None, None)

    run(main())


def test_inherited_streams(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with await spawn(sh("echo out; echo err >&2")) as process:
            await process.wait()

    run(main())
    assert capfd.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize("kept", [[0], [1], [0, 2]])
def test_inherited_streams_some_of_which_are_named(
    run: Run, capfd: pytest.CaptureFixture[str], kept: list[int]
) -> None:
    async def main() -> None:
        process = await spawn(["sh", "-c", "echo out; echo err >&2"], pass_fds=kept)
        assert (await process.wait()).returncode == 0

    run(main())
    assert capfd.readouterr() == ("out\n", "err\n")


def test_errors_into_the_output_in_the_order_written(run: Run) -> None:
    written = run(output(sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done"), stderr=STDOUT))
    assert written == "".join(f"out {i}\nerr {i}\n" for i in (1, 2, 3))


def test_devnull(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(output(["cat"], stdin=DEVNULL)) == ""

    async def main() -> None:
        async with await spawn(sh("echo out; echo err >&2"), stdout=DEVNULL, stderr=DEVNULL) as process:
            assert (await process.wait()).success

    run(main())
    assert capfd.readouterr() == ("", "")


def test_files_and_descriptors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from a file\n")

    async def main() -> None:
        with (tmp_path / "in").open() as given, (tmp_path / "out").open("w") as taken:
            async with await spawn(["cat"], stdin=given, stdout=taken.fileno()) as process:
                assert process.stdin is None
                assert process.stdout is None
                await process.wait()

    run(main())
    assert (tmp_path / "out").read_text() == "from a file\n"


def test_a_child_gets_no_other_ends_of_its_pipes(run: Run, soon: Soon) -> None:
    """Else a reader would never see the end: the child itself would hold its input's writing end."""

    async def main() -> None:
        async with await spawn(["cat"], **ALL_PIPES) as one, await spawn(["cat"], **ALL_PIPES) as other:
            for process in (one, other):
                there = f"/proc/{process.pid}/fd"
                # Soon: while it is still being loaded, it has the file of a library open.
                soon(lambda there=there: set(os.listdir(there)) == {"0", "1", "2"})
            assert one.stdin is not None
            one.stdin.close()
            assert (await one.wait()).success
            assert other.status is None

    run(main())


# --- surroundings


def test_env(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "yes")
    assert run(output(sh("echo $INHERITED"))) == "yes\n"
    assert run(output(sh("echo $INHERITED$MINE"), env={"MINE": "ä b"})) == "ä b\n"


def test_cwd_also_for_a_relative_program(run: Run, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("#!/bin/sh\npwd\n")
    (tmp_path / "here").chmod(0o755)
    for folder in (tmp_path, str(tmp_path), os.fsencode(tmp_path)):
        assert run(output(["./here"], cwd=folder)) == f"{tmp_path}\n"


def test_pass_fds(run: Run) -> None:
    reading, writing = os.pipe()
    try:
        script = "echo through $1 > /proc/self/fd/$1; test ! -e /proc/self/fd/$2"
        run(output(sh(script, str(writing), str(reading)), pass_fds=[writing]))
        assert os.read(reading, 100) == f"through {writing}\n".encode()
    finally:
        os.close(reading)
        os.close(writing)


def test_session_and_process_group(run: Run) -> None:
    code = "import os; print(os.getpid(), os.getpgrp(), os.getsid(0))"

    def ids(written: str) -> tuple[int, ...]:
        return tuple(map(int, written.split()))

    _, group, session = ids(run(output(python(code))))
    assert (group, session) == (os.getpgrp(), os.getsid(0))
    pid, group, session = ids(run(output(python(code), process_group=0)))
    assert (group, session) == (pid, os.getsid(0))
    pid, group, session = ids(run(output(python(code), start_new_session=True)))
    assert (group, session) == (pid, pid)


def test_joining_the_process_group_of_another(run: Run) -> None:
    async def main() -> None:
        async with (
            await spawn(["sleep", "100"], process_group=0) as first,
            await spawn(["sleep", "100"], process_group=first.pid) as second,
        ):
            assert sorted(first.group_members()) == sorted((first.pid, second.pid))
            assert second.group_members() == ()  # it leads none
            with pytest.raises(ValueError, match="leads no process group"):
                second.signal_group(signal.SIGTERM)

    run(main())


def test_umask_executable_and_shell(run: Run) -> None:
    assert run(output(sh("umask"), umask=0o137)) == "0137\n"
    assert run(output(["a name", "-c", "echo $0"], executable="/bin/sh")) == "a name\n"
    assert run(output("echo $((6 * 7)) | cat", shell=True)) == "42\n"


def test_signals_that_python_ignores_are_restored(run: Run) -> None:
    # A Python child would ignore SIGPIPE of its own accord; a shell leaves it as it found it.
    ignored = sh("while read key value; do test $key = SigIgn: && echo $value; done < /proc/$$/status; true")
    sigpipe = 1 << signal.SIGPIPE - 1
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    assert not int(run(output(ignored)), 16) & sigpipe
    assert int(run(output(ignored, restore_signals=False)), 16) & sigpipe


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_user_and_groups(run: Run) -> None:
    written = run(output(sh("id -u; id -g; id -G"), user=12_345, group=23_456, extra_groups=[34_567]))
    assert written == "12345\n23456\n23456 34567\n"


def test_preexec_fn(run: Run) -> None:
    limit = (10, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert run(output(sh("ulimit -n"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))) == "10\n"


# --- what fails


@pytest.fixture
def unfit(tmp_path: Path) -> Path:
    """A folder of things that are no programs."""
    (tmp_path / "text").write_text("just text")
    (tmp_path / "binary").write_bytes(b"\x7fNOT-ELF\0")
    (tmp_path / "binary").chmod(0o755)
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    (tmp_path / "no-interpreter").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "options", "kind", "filename"),
    [
        (["no-such-program-anywhere"], {}, FileNotFoundError, "no-such-program-anywhere"),
        (["/no/such/program"], {}, FileNotFoundError, "/no/such/program"),
        (["true"], {"cwd": "/no/such/folder"}, FileNotFoundError, "/no/such/folder"),
        (["true"], {"cwd": "{}/text"}, NotADirectoryError, "{}/text"),
        (["{}/text"], {}, PermissionError, "{}/text"),
        (["{}"], {}, PermissionError, "{}"),
        (["{}/binary"], {}, OSError, "{}/binary"),
        (["{}/no-interpreter"], {}, FileNotFoundError, "{}/no-interpreter"),
        (["true", "null\0byte"], {}, ValueError, None),
        (["true"], {"env": {"A=B": "c"}}, ValueError, None),
        (["true"], {"cwd": "null\0byte"}, ValueError, None),
        ([], {}, ValueError, None),
        (["true"], {"pass_fds": [-5]}, ValueError, None),
        (["true"], {"pass_fds": [99_999]}, OSError, None),
        (["true", object()], {}, TypeError, None),
        (["true"], {"preexec_fn": lambda: 1 // 0}, subprocess.SubprocessError, None),
    ],
)
def test_what_cannot_be_started_leaves_nothing(
    run: Run,
    descriptors: Descriptors,
    unfit: Path,
    args: list[Any],
    options: dict[str, Any],
    kind: type[Exception],
    filename: str | None,
) -> None:
    def placed(value: Any) -> Any:
        return value.format(unfit) if isinstance(value, str) else value

    async def main() -> None:
        before = descriptors()
        with pytest.raises(kind) as caught:
            await spawn([placed(arg) for arg in args], **{k: placed(v) for k, v in options.items()}, **ALL_PIPES)
        assert descriptors() == before
        if filename is not None:
            assert isinstance(caught.value, OSError)
            assert caught.value.filename == placed(filename)
        assert await output(["echo", "still works"]) == "still works\n"

    run(main())


def test_no_program_at_all_is_said_so(run: Run) -> None:
    with pytest.raises(ValueError, match=r"args.*program"):
        run(spawn([]))


def test_a_stream_that_is_none(run: Run, descriptors: Descriptors) -> None:
    """What subprocess refuses is refused, and what came before it is undone."""

    async def main() -> None:
        before = descriptors()
        for stream in ALL_PIPES:
            for wish in (99_999, "a name"):
                with pytest.raises((OSError, TypeError)):
                    await spawn(["true"], **{**ALL_PIPES, stream: wish})
                assert descriptors() == before, (stream, wish)

    run(main())


def test_outside_a_coroutine() -> None:
    coroutine = spawn(["true"])
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_a_command_line_as_one_string_is_told_how_to_mend_it(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError) as caught:
            await spawn("echo hello")
        assert caught.value.__notes__ == [
            "a string is the name of a program as a whole; with arguments give a list: ['echo', 'hello']"
        ]

    run(main())
