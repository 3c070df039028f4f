"""A guess at keys that nobody has listed yet, from those of one page: where to cut a folder of many photos.

Names in one folder mostly count or are drawn at random: ``img_000123.jpg``, a hash, a UUID, a time. Either
way the next page covers about as much of the space of names as the last one did.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Final

_AFTER_LETTERS: Final = 0x7F
"""Behind the last one of ASCII; other letters are few among names, and behind it."""


def key_ahead(names: Sequence[str], times: int) -> str | None:
    """A key after the last of ``names``, with about ``times`` as many keys between; None without a guess.

    ``names`` are sorted and distinct. They are read as numbers, whose digits are the characters by which
    neighbours differ first: 0 to 9 in counted names, hexadecimal ones in hashes. Other characters stay.

    >>> key_ahead([f"img_{n:04}.jpg" for n in range(100)], 3)
    'img_0396.jpg'
    """
    digits = sorted({digit for pair in pairwise(names) for digit in _first_difference(*pair)})
    last, base = names[-1], len(digits)
    places = [place for place, character in enumerate(last) if character in digits]

    def value(name: str) -> int:
        number = 0
        for place in places:
            number = number * base + min(bisect_left(digits, name[place : place + 1]), base - 1)
        return number

    number = value(last) + times * (value(last) - value(names[0]))
    characters = list(last)
    for place in reversed(places):
        number, digit = divmod(number, base)
        characters[place] = digits[digit]
    ahead = "".join(characters)
    # What is left over has no place: there are fewer keys to come.
    return ahead if not number and ahead > last else None


def key_between(last: str, end: str | None) -> str | None:
    """A key half way from ``last`` to ``end``, or to the end of its folder; None where there is no room.

    Half way by the characters of ASCII: names that begin with labels begin with any of its letters.

    >>> key_between("a/kiwi_9.jpg", None), key_between("a/kiwi_9.jpg", "a/t"), key_between("a/s_9.jpg", "a/t")
    ('a/u', 'a/o', 'a/so')
    """
    for place in range(last.rfind("/") + 1, len(last)):
        low, high = ord(last[place]), _AFTER_LETTERS
        if end is not None and end[:place] == last[:place]:
            high = min(high, ord(end[place]))
        if high - low > 1:
            return last[:place] + chr((low + high) // 2)
    return None


def _first_difference(one: str, other: str) -> set[str]:
    differing = (pair for pair in zip_longest(one, other, fillvalue="") if pair[0] != pair[1])
    return set(next(differing)) - {""}
