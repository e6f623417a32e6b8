"""Reads `loopwright.toml` into `ServiceSpec`s, and says everything that is wrong with it in one go.

`read()` either gives a whole `Configuration` or raises a `ConfigurationError` that holds one `Mistake` for
every mistake in the file; nothing half-read ever leaves this package. What is not wrong in the file but would
not start as things stand on this machine (a program that is not there yet) is a `Configuration`'s `warnings`.
"""

from loopwright.supervision.config._mistakes import Mistake
from loopwright.supervision.config._read import Configuration, read

__all__ = ["Configuration", "Mistake", "read"]
