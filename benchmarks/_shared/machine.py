"""Where and with what figures were taken."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def facts(packages: tuple[str, ...]) -> dict[str, Any]:
    """The time, machine, kernel, Python, versions and commit; `+` marks a checkout with changes not committed."""
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "hypervisor": hypervisor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": compiler(),
        "versions": {name: version(name) for name in packages},
        "commit": commit(),
    }


def processor() -> str:
    """As the kernel names it."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for entry in lines:
            if entry.startswith("model name"):
                return entry.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def hypervisor() -> bool:
    """Whether this is a virtual machine, where system calls that change page tables can be many times as dear."""
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        return " hypervisor" in text.read()


def compiler() -> str:
    try:
        return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError) as error:
        return f"none: {error}"


def version(package: str) -> str | None:
    """None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def in_words(found: dict[str, Any]) -> str:
    """A few lines for the head of a table."""
    versions = ", ".join(f"{name} {number or 'absent'}" for name, number in found["versions"].items())
    return (
        f"{found['when']}, commit {found['commit'][:12]}{'+' if found['commit'].endswith('+') else ''}\n"
        f"{found['processor']}, {found['cpus']} CPUs{' of a virtual machine' if found['hypervisor'] else ''}, "
        f"{found['memory_gib']} GiB, {found['kernel']}, load {found['load_before']}\n"
        f"{found['python']}, {versions}; {found['compiler']}"
    )
