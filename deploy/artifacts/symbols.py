"""Shared libraries without what only a debugger reads: zeros in its place, which compress to nothing.

Not ``strip``, which shortens the file: binutils of one processor does not know the other's files, and a
library that auditwheel has patched may not survive it. Here no byte moves, and the loader reads none of
what changes. Sources: System V ABI (gABI 4.1), chapters "ELF Header" and "Sections".
"""

import struct
from typing import Final, NamedTuple

_ELF64_LITTLE_ENDIAN: Final = b"\x7fELF\x02\x01"
_HEADER_SECTIONS: Final = struct.Struct("<40xQ10xHHH")
"""Of the file header: where the section headers begin, the size of one, their number, whose are the names."""
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL_TABLE: Final = 2
_LOADED: Final = 0x2
"""SHF_ALLOC: the section is in memory when the library is used."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def without_symbols(content: bytes) -> bytes:
    """The same file, its symbol table and debugging sections zeroed; anything but a 64-bit ELF file as it is.

    The dynamic symbols, which linking needs, are loaded sections and stay.
    """
    if not content.startswith(_ELF64_LITTLE_ENDIAN):
        return content
    first, size, count, names = _HEADER_SECTIONS.unpack_from(content)
    sections = [_Section(*_SECTION.unpack_from(content, first + size * number)) for number in range(count)]
    blanked = bytearray(content)
    for section in sections:
        name = sections[names].offset + section.name
        of_no_use = []
        if section.type == _SYMBOL_TABLE:
            of_no_use = [section, sections[section.link]]
        elif content.startswith(b".debug", name):
            of_no_use = [section]
        for part in of_no_use:
            if not part.flags & _LOADED:
                blanked[part.offset : part.offset + part.size] = bytes(part.size)
    return bytes(blanked)
