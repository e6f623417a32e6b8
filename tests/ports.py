"""Ports for programs that are told theirs."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["free_port"]

#: Not the module's: every process of a test run has the same seed.
CHANCE = random.SystemRandom()


def free_port(host: str = "127.0.0.1") -> int:
    """A port at which nobody listens. None of those that the kernel gives to whoever does not care (ip(7)): by the time
    that the program takes it, one of the other tests' many connections might have it."""
    lowest, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    while True:
        port = CHANCE.randrange(10_000, max(lowest, 20_000))
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
