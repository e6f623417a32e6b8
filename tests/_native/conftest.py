"""What tests of the compiled floor share."""

from tests._native.ice import ice

__all__ = ["ice"]
