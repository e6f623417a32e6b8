"""What is right in the file but missing on this machine: worth a warning, as it may come before the start."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from loopwright.policies._config import policy_obstacle
from loopwright.supervision.config._mistakes import show

if TYPE_CHECKING:
    from loopwright.supervision._spec import ServiceSpec
    from loopwright.supervision.config._mistakes import Findings, Where

__all__ = ["check_policy", "check_startable"]

# os.path and not pathlib throughout: up to Python 3.13 `Path.is_dir()` and `Path.exists()` raise where a folder on
# the way may not be searched, and here that is one more way of not being there.
#
# ruff: noqa: PTH110, PTH112, PTH118


def check_policy(where: Where, policy: str | None, findings: Findings) -> None:
    """Notes a policy that could not be had on the Python that Loopwright runs on; imports no loop's package to see.

    No mistake: the services may run on another one.
    """
    obstacle = None if policy is None else policy_obstacle(policy)
    if obstacle is not None:
        what = f"{show(policy)}, which this Python could not follow ({obstacle})"
        findings.add(
            where, what, "a policy that can be had on the Python of the services, which may be another than this one"
        )


def check_startable(service: ServiceSpec, findings: Findings) -> None:
    """Notes a working directory that cannot be entered and a program that cannot be found or executed there.

    Only asks the file system, and runs nothing; what it says can be untrue a moment later.
    """
    where = ("services", service.name)
    folder = service.working_directory
    enterable = False
    if not os.path.isdir(folder):
        what = "which is no directory" if os.path.lexists(folder) else "which is not there"
        findings.add((*where, "working_directory"), f"{show(str(folder))}, {what}", "a directory")
    elif not os.access(folder, os.X_OK):
        what = f"{show(str(folder))}, which user {os.geteuid()} may not enter"
        findings.add((*where, "working_directory"), what, "a directory that may be entered")
    else:
        enterable = True
    # A program given by its path cannot be there if the directory is not; one that PATH leads to still should
    # be.
    if enterable or "/" not in service.command[0]:
        _check_program(service, findings)


def _check_program(service: ServiceSpec, findings: Findings) -> None:
    """Looks where execvp(3) will, after the change of directory and with the PATH the service itself gets."""
    program = service.command[0]
    # A path is relative to the directory in which the program starts, and so is a folder of PATH that is not
    # absolute.
    by_path = "/" in program
    folders = [""] if by_path else os.get_exec_path({**os.environ, **service.environment})
    candidates = [os.path.join(service.working_directory, folder, program) for folder in folders]
    if any(shutil.which(candidate) for candidate in candidates):
        return
    there = next((each for each in candidates if os.path.lexists(each)), None)
    right = "a program that exists"
    if there is None and by_path:
        what = "which is not there"
    elif there is None:
        what = f"which is in no folder of PATH, {show(os.pathsep.join(folders))}"
    elif os.path.isdir(there):
        what = "which is a directory"
    elif not os.path.exists(there):
        what = "a link to what is not there"
    else:
        what, right = f"which may not be executed ({show(there)})", "a program with permission to execute (chmod +x)"
    findings.add(("services", service.name, "command"), f"{show(program)}, {what}", right)
