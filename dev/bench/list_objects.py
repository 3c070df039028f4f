"""One answer of ListObjectsV2 over keys in memory, as S3 gives it: the benchmark's stores list by it."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

_PAGE: Final = 1000
_LAST: Final = "\U0010ffff"


def page(keys: Sequence[str], facts: Callable[[int], tuple[str, int]], query: Mapping[str, str]) -> str:
    """The XML of a page over sorted keys; ``facts`` gives ETag and bytes of the n-th object.

    A continuation token is the number of keys that lie before the page.
    """
    encode = partial(quote_plus, safe="/") if query.get("encoding-type") == "url" else escape
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, after = query.get("continuation-token"), query.get("start-after", "")
    most = min(int(query.get("max-keys", _PAGE)), _PAGE)
    at = int(token) if token else max(bisect_left(keys, prefix), bisect_right(keys, after))
    end = bisect_left(keys, prefix + _LAST)
    entries: list[str] = []
    while at < end and len(entries) < most:
        folder, cut, _ = keys[at].removeprefix(prefix).partition(delimiter or _LAST)
        if cut:
            folder = prefix + folder + delimiter
            entries.append(f"<CommonPrefixes><Prefix>{encode(folder)}</Prefix></CommonPrefixes>")
            at = bisect_left(keys, folder + _LAST)
        else:
            etag, size = facts(at)
            entries.append(
                f"<Contents><Key>{encode(keys[at])}</Key><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass>"
                "</Contents>"
            )
            at += 1
    kind = "<EncodingType>url</EncodingType>" if encode is not escape else ""
    more = f"<NextContinuationToken>{at}</NextContinuationToken>" if at < end else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{kind}<Prefix>{encode(prefix)}</Prefix>'
        f"<KeyCount>{len(entries)}</KeyCount><IsTruncated>{str(at < end).lower()}</IsTruncated>"
        f"{''.join(entries)}{more}</ListBucketResult>"
    )
