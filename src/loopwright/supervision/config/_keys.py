"""What somebody may have meant by a key that does not exist."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from loopwright.supervision.config._document import Document, RestartTable, ServiceTable, SupervisorTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import msgspec

__all__ = ["meant", "nearest"]

#: What supervisord, systemd, Compose, Procfile managers, circus and pm2 call the same thing.
KNOWN_ELSEWHERE: Mapping[type[msgspec.Struct], Mapping[str, tuple[str, ...]]] = {
    ServiceTable: {
        "command": (
            "args",
            "argv",
            "cmd",
            "entrypoint",
            "exec",
            "exec_start",
            "execstart",
            "program",
            "run",
            "script",
        ),
        "working_directory": (
            "chdir",
            "cwd",
            "dir",
            "directory",
            "folder",
            "working_dir",
            "workingdirectory",
        ),
        "environment": ("env", "environ", "variables", "vars"),
        "env_files": (
            "dotenv",
            "env_file",
            "environment_file",
            "environment_files",
            "environmentfile",
            "envfile",
        ),
        "instances": (
            "count",
            "num_processes",
            "numprocesses",
            "numprocs",
            "processes",
            "replicas",
            "scale",
            "workers",
        ),
        "restart": ("auto_restart", "autorestart", "backoff", "respawn", "restart_policy"),
        "stop_signal": ("kill_signal", "killsignal", "stopsignal"),
        "grace_period": (
            "grace",
            "graceful_timeout",
            "kill_timeout",
            "stop_grace_period",
            "stop_timeout",
            "stopwaitsecs",
            "timeout_stop_sec",
            "timeoutstopsec",
        ),
        "essential": ("critical", "required"),
        "depends_on": ("after", "dependencies", "depends", "deps", "needs", "requires", "wants"),
        "restart_on_output": ("restart_on", "restart_on_line", "restart_on_match", "restart_pattern"),
        "tell_on_output": ("alert_on", "log_pattern", "pattern", "patterns", "tell_on", "watch", "watch_output"),
        "policy": ("event_loop", "event_loop_policy", "loop", "loop_policy"),
        "restart.initial_delay": ("restart_delay", "restart_sec", "restartsec"),
        "restart.healthy_after": ("min_uptime", "startsecs"),
        "restart.max_restarts": ("max_retries", "max_retry", "retries", "startretries"),
    },
    RestartTable: {
        "rule": ("condition", "mode", "on", "policy", "type", "when"),
        "initial_delay": ("delay", "initial", "interval", "min_delay", "restart_sec", "start", "wait"),
        "factor": ("base", "exponent", "growth", "multiplier"),
        "max_delay": ("cap", "ceiling", "limit", "longest", "maximum", "maximum_delay"),
        "jitter": ("random", "randomness", "spread"),
        "healthy_after": ("min_uptime", "reset_after", "stable_after", "startsecs", "window"),
        "max_restarts": ("attempts", "max_attempts", "max_retries", "max_retry", "retries", "startretries"),
    },
    SupervisorTable: {"name": ("project", "project_name", "title")},
    Document: {
        "services": ("processes", "program", "programs", "service"),
        "supervisor": ("general", "settings"),
        "policy": ("event_loop", "event_loop_policy", "loop", "loop_policy", "policies"),
    },
}


def meant(key: str, schema: type[msgspec.Struct], outer: type[msgspec.Struct] | None = None) -> str | None:
    """The key that stands for the same thing, in order of certainty; None if nothing is near.

    `restart.max_restarts` for a key that belongs into a table below; for one that belongs into the table
    above (which in TOML ends where the header of the table below stands) a sentence that says so.
    """
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().replace("-", "_")
    fields = schema.__struct_fields__
    if plain in fields:
        return plain
    for ours, theirs in KNOWN_ELSEWHERE[schema].items():
        if plain in theirs:
            return ours
    if schema is ServiceTable and plain in RestartTable.__struct_fields__:
        return f"restart.{plain}"
    if outer is not None and plain in outer.__struct_fields__:
        return f"{plain} in the table above, before this one's header"
    return nearest(plain, fields)


def nearest(wrong: str, right: Iterable[str]) -> str | None:
    """The most similar one, if any is similar at all."""
    near = difflib.get_close_matches(wrong[:100], right, 1)
    return near[0] if near else None
