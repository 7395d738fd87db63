"""Messages as Slack shows them, for a person to look at: a page of each, and where there is chromium a picture.

    python bench/pictures.py OUT_DIR [MESSAGE.json ...]

Takes the golden messages unless others are named. Shows the kinds of block that we use, and of mrkdwn what we write: bold
and links.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
WIDTH = 720
#: No network, no profile but its own, no wait for what it would like to look up.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor=1.5"
).split()

PAGE = """<!doctype html><meta charset="utf-8"><title>{name}</title><style>
body {{ margin: 16px; width: 660px; color: #1d1c1d }}
body {{ font: 15px/1.46 Lato, "Liberation Sans", "Noto Sans", "Noto Sans CJK SC", sans-serif }}
.message {{ display: grid; grid-template-columns: 44px 1fr }}
.face {{ width: 36px; height: 36px; border-radius: 6px; background: #4a154b; color: #fff }}
.face {{ text-align: center; line-height: 36px }}
.who b {{ font-weight: 900 }} .who span {{ font-size: 12px; color: #616061; margin-left: 6px }}
.who .app {{ font-size: 10px; font-weight: 700; background: #e8e8e8; border-radius: 2px; padding: 1px 3px }}
.section, .text, .context {{ margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere }}
.context {{ font-size: 13px; line-height: 1.38; color: #616061 }}
.header {{ font-size: 18px; font-weight: 900; margin: 8px 0 }}
hr {{ border: 0; border-top: 1px solid #ddd; margin: 8px 0 }}
.button {{ border: 1px solid #bbb; border-radius: 4px; padding: 3px 10px; font-size: 13px; font-weight: 700 }}
.actions {{ margin: 10px 0; line-height: 2.2 }} .section {{ display: flow-root }} .section .button {{ float: right }}
a {{ color: #1264a3; text-decoration: none }}
.under {{ margin-top: 14px; border-top: 1px dashed #ccc; font-size: 11px; color: #999; overflow-wrap: anywhere }}
</style><div class="message"><div class="face">N</div><div>
<div class="who"><b>News Monitor</b> <span class="app">APP</span><span>14:30</span></div>
{body}</div></div><div class="under">{name} · notification: {text}</div>
"""


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for path in map(Path, sys.argv[2:] or sorted(GOLDEN.glob("*.json"))):
        message = json.loads(path.read_text(encoding="utf-8"))
        body = "\n".join(shown(message))
        page = out / f"{path.stem}.html"
        page.write_text(PAGE.format(name=path.stem, body=body, text=mrkdwn(message["text"])), encoding="utf-8")
        print(photographed(page, height(message)) or page)


def shown(message: dict[str, Any]) -> Iterator[str]:
    """A message as HTML. Slack's escapes are HTML's, so that a text stays as it is."""
    if not message["blocks"]:
        yield f'<div class="text">{mrkdwn(message["text"])}</div>'
    for block in message["blocks"]:
        if block["type"] == "divider":
            yield "<hr>"
        else:
            parts = block.get("elements") or [*filter(None, (block.get("accessory"), block["text"]))]
            yield f'<div class="{block["type"]}">{" ".join(map(part, parts))}</div>'


def part(text: dict[str, Any]) -> str:
    if text["type"] == "button":
        return f'<span class="button">{text["text"]["text"]}</span>'
    return mrkdwn(text["text"]) if text["type"] == "mrkdwn" else text["text"]


def mrkdwn(text: str) -> str:
    text = re.sub(
        r"<([^<>|]+)(?:\|([^<>]*))?>", lambda link: f'<a href="{html.escape(link[1])}">{link[2] or link[1]}</a>', text
    )
    return re.sub(r"(?m)(?<!\S)\*(\S.*?)\*(?!\S)", r"<b>\1</b>", text)


def height(message: dict[str, Any]) -> int:
    """Guess how high a window holds it."""
    texts = [
        text if isinstance(text["text"], str) else {"text": ""}
        for block in message["blocks"]
        for text in block.get("elements") or [block.get("text") or {"text": ""}]
    ]
    lines = [line for text in [*texts, message] for line in re.sub(r"<[^|>]*\|", "", text["text"]).split("\n")]
    return 90 + sum(24 * (1 + len(line) // 75) for line in lines)


def photographed(page: Path, pixels: int) -> Path | None:
    """Return the screenshot of a page; None where there is no chromium."""
    chromium = shutil.which("chromium")
    if not chromium:
        return None
    picture = page.with_suffix(".png")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},{pixels}",
            f"--screenshot={picture}", page.resolve().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return picture


if __name__ == "__main__":
    main()
