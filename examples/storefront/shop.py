"""What the programs of this example share: the shop's goods, its address, and its data folder."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

HOST = "127.0.0.1"


class SetupError(Exception):
    """Something a person has to mend before a program can run; its text says what and how."""


@dataclass(frozen=True, slots=True)
class Product:
    """One of the things on sale."""

    key: str
    name: str
    price: str


PRODUCTS = {
    product.key: product
    for product in (
        Product("teapot", "Teapot, short and stout", "24.00"),
        Product("lantern", "Storm lantern", "31.50"),
        Product("rope", "Ten fathoms of rope", "12.80"),
        Product("compass", "Pocket compass", "44.00"),
    )
}


def name() -> str:
    """The shop's name, from STOREFRONT_NAME."""
    return os.environ.get("STOREFRONT_NAME") or "The Little Shop"


def instance() -> int:
    """Which of several equal processes this is; the supervisor counts them from 1 in LOOPWRIGHT_INSTANCE."""
    return _number("LOOPWRIGHT_INSTANCE", "1")


def port(number: int) -> int:
    """Where web instance `number` listens: the first at STOREFRONT_PORT, the next one above it, and so on."""
    wanted = _number("STOREFRONT_PORT", "8080") + number - 1
    if wanted > 65_535:
        raise SetupError(f"instance {number} would need port {wanted}, above 65535; lower STOREFRONT_PORT")
    return wanted


def _number(variable: str, default: str) -> int:
    text = os.environ.get(variable) or default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65_535):
        raise SetupError(f"{variable} is {text!r}; it has to be a whole number from 1 to 65535")
    return int(text)


def data_folder() -> Path:
    """The folder STOREFRONT_DATA, or one for this user among the temporary files; made if need be.

    Anybody can make a folder of that name in a shared /tmp first, so one that belongs to somebody else is
    refused.
    """
    chosen = os.environ.get("STOREFRONT_DATA")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"storefront-{os.getuid()}"
    try:
        if chosen:
            folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat() if chosen else folder.lstat()
    except OSError as error:
        raise SetupError(f"no data folder at {folder}: {error.strerror}; set STOREFRONT_DATA") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SetupError(f"{folder} is not a folder of yours; set STOREFRONT_DATA")
    return folder


def stop_on_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """Set `stopping` at SIGTERM, with which the supervisor asks to end, and at SIGINT, which is Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
