"""Mutated documents, by the hundred thousand: none may crash the parser, and none may take longer than its deadline.

    python bench/fuzz.py FOLDER... [--minutes 10] [--seed 1]

Takes every document of the folders in turn and damages it as networks, publishers and enemies do: bytes flipped, cut, doubled,
swapped; tags, entities, declarations and encodings put where they do not belong. Runs in this process, one core; ParseError is
an answer, any other exception a crash. Prints how many there were, the slowest, and each crash with the seed that makes it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from monitor.errors import ParseError
from monitor.model import Document, Feed
from monitor.parse import parse

NOW = datetime(2026, 2, 19, 12, 0, tzinfo=UTC)
DEADLINE = 10.0  # seconds: `polling.parse_timeout`

#: What is put where it does not belong.
STRANGE = [
    b"<", b">", b"&", b"\x00", b"\xff\xfe", b"\xa9", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?", b"?>", b"&#1114112;",
    b"&#0;", b"&#xD800;", b"&nbsp;", b"&lt;b&gt;", b"&amp;amp;",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"<!DOCTYPE x SYSTEM '\\d'>",
    b"<item>", b"</item>", b"<entry>", b"</channel>", b"<guid>", b"<link/>", b"<title>", b"xmlns:a='", b"xml:base='http://[::1'",
    b" encoding='utf-16'", b" encoding='base64'", b"<pubDate>Mon, 99 Foo</pubDate>", "\u202e\u200b".encode(),
    "中文".encode("gb18030"), "Россия".encode("cp1251"), b'{"version": "https://jsonfeed.org/version/1"', b"<script>",
    b"<textarea>", b"<svg><math>",
]  # fmt: skip
#: What takes long: one mutation in a hundred, or the run would be about nothing else.
HEAVY = [
    b"<b>" * 500,
    b"<div>" * 3_000,
    b"a" * 9_000,
    b"&" * 3_000,
    b"<a href='" * 500,
    b"[" * 3_000,
    b"<item>" * 1_000,
]


def mutate(body: bytes, draw: random.Random) -> bytes:
    """Damage a document in one to six places."""
    for _ in range(draw.randint(1, 6)):
        start = draw.randrange(len(body) + 1)
        # most damage near the beginning, where declarations are, would leave the items alone
        match draw.randrange(9):
            case 0:
                body = body[:start] + bytes([draw.randrange(256)]) + body[start + 1 :]
            case 1:
                body = body[:start]
            case 2:
                body = body[:start] + body[start + draw.randrange(200) :]
            case 3:
                body = (
                    body[:start] + body[start : start + draw.randrange(400)] * draw.choice([2, 2, 3, 20]) + body[start:]
                )
            case 4:
                other = draw.randrange(len(body) + 1)
                body = body[:start] + body[other : other + draw.randrange(400)] + body[start:]
            case 5 | 6 | 7:
                body = body[:start] + draw.choice(STRANGE if draw.random() < 0.99 else HEAVY) + body[start:]
            case 8:
                encoding = draw.choice(["utf-16", "cp1251", "gb18030", "utf-32"])
                body = body.decode("utf-8", "replace").encode(encoding, "replace")
    return body[:400_000]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folders", nargs="+", type=Path)
    ask.add_argument("--minutes", type=float, default=10)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--largest", type=int, default=60_000, help="bytes; larger documents are only more of the same")
    args = ask.parse_args()
    bodies = [path.read_bytes() for folder in args.folders for path in sorted(folder.rglob("*")) if path.is_file()]
    bodies = [body for body in bodies if 0 < len(body) <= args.largest]
    feed = Feed("https://feeds.example/rss")
    until = time.monotonic() + 60 * args.minutes
    count = items = refused = crashes = late = 0
    times: list[float] = []
    slowest = (0.0, -1)
    number = args.seed * 1_000_000_000
    while time.monotonic() < until:
        number += 1
        body = mutate(bodies[number % len(bodies)], random.Random(number))
        start = time.perf_counter()
        try:
            items += len(parse(Document(feed, feed.url, {}, body), NOW).items)
        except ParseError:
            refused += 1
        except Exception:
            crashes += 1
            print(f"CRASH at {number}\n{traceback.format_exc()}", flush=True)
        took = time.perf_counter() - start
        late += took > DEADLINE
        slowest = max(slowest, (took, number))
        if count % 100 == 0:
            times.append(took)
        count += 1
    print(
        f"{count:,} documents, {items:,} items, {refused:,} refused, {crashes} crashes, {late} over the deadline",
        flush=True,
    )
    print(f"median {1000 * statistics.median(times):.2f} ms, slowest {slowest[0]:.2f} s (number {slowest[1]})")
    sys.exit(crashes + late > 0)


if __name__ == "__main__":
    main()
