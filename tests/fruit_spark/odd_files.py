"""What bears the name of a photo and is none, and a process that may not read everything."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

NO_RIGHTS: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Before a command of root's: its files' modes count for it, as they do for all others."""
NOT_REGULAR: Final = "not an image: it is not a regular file"


def _socket(path: Path) -> None:
    # An address of a socket is short, and pytest's folders are deep.
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


ODD: Final[dict[str, tuple[Callable[[Path], None], str]]] = {
    "pipe.jpg": (os.mkfifo, NOT_REGULAR),
    "socket.jpg": (_socket, NOT_REGULAR),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), NOT_REGULAR),
    "dangling.jpg": (
        lambda path: path.symlink_to("nowhere"),
        "gone: it is a link, and the file behind it is not there",
    ),
    "circle.jpg": (lambda path: path.symlink_to(path.name), "not an image: it is a link in a circle"),
}
"""How each is made, and why it is rejected."""


def make_odd_files(folder: Path) -> dict[str, str]:
    """All of them in ``folder``; the reasons by their names."""
    for name, (make, _) in ODD.items():
        make(folder / name)
    return {name: reason for name, (_, reason) in ODD.items()}
