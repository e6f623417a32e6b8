"""What can be promised about the end of a process and all that it starts, as named levels."""

from __future__ import annotations

import enum

__all__ = ["Guarantee"]


class Guarantee(enum.Enum):
    """How far `Process.end()`, and this program's own end, reach; the strongest first.

    The values of the first four are the letters by which the levels are called. `str()` gives the sentence.
    """

    NAMESPACE = "a"
    CGROUP = "b"
    SUBREAPER = "c"
    DEATH_SIGNAL = "d"
    GROUP = "group"
    PROCESS = "process"

    @property
    def sentence(self) -> str:
        """What it covers, and what it does not."""
        return _SENTENCES[self]

    @property
    def proves(self) -> bool:
        """Whether `end()` can prove that nothing is left, escapees included."""
        return self in (Guarantee.NAMESPACE, Guarantee.CGROUP, Guarantee.SUBREAPER)

    @property
    def title(self) -> str:
        """A few words for a line that has no room for the sentence: `level b (cgroup)`."""
        name = self.name.lower().replace("_", " ")
        return f"level {self.value} ({name})" if len(self.value) == 1 else f"no level (its {name} alone)"

    def __str__(self) -> str:
        return self.sentence


_SENTENCES = {
    Guarantee.NAMESPACE: (
        "it is the first process of a PID namespace: the kernel kills all that is in it when it ends (should this "
        "program be killed with SIGKILL, that takes a parent-death signal, keeper or guard)"
    ),
    Guarantee.CGROUP: (
        "it is in a cgroup of its own under a keeper or guard: cgroup.kill ends all that it started, wherever that "
        "went, also if this program is killed with SIGKILL (not covered: what may write to other cgroups, as root "
        "may, and moves itself out and hides)"
    ),
    Guarantee.SUBREAPER: (
        "a keeper inherits what is orphaned: all that it started is frozen, killed and swept until nothing is left, "
        "also if this program is killed with SIGKILL (not covered while this program lives: a daemon that also "
        "cleared its environment is named as not provable; the keeper ends it in the end)"
    ),
    Guarantee.DEATH_SIGNAL: (
        "its process group and what still descends from it are ended; should this program be killed with SIGKILL, "
        "it is killed too (not covered: daemons, and in that case whatever it started itself)"
    ),
    Guarantee.GROUP: (
        "its process group and what still descends from it are ended, as long as this program lives to do so (not "
        "covered: daemons, and everything if this program is killed with SIGKILL)"
    ),
    Guarantee.PROCESS: (
        "it and what still descends from it are ended, as long as this program lives to do so (not covered: what was "
        "orphaned before, and everything if this program is killed with SIGKILL)"
    ),
}
