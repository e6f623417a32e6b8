"""`python -m loopwright` is `loopwright`: the same command, of this Python and no other."""

from __future__ import annotations

from loopwright.cli import main

if __name__ == "__main__":
    main()
