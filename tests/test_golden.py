"""Golden files hold whole messages, one of each kind. After an intended change run this file with UPDATE_GOLDEN=1, read the
diff, and look at the pictures that bench/pictures.py makes of them."""

import json
import os
from pathlib import Path

import pytest
from messages import GOLDEN

from monitor.model import Message

FOLDER = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", GOLDEN)
def test_message_is_what_was_agreed(name):
    shown = written(GOLDEN[name])
    path = FOLDER / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown, encoding="utf-8")

    assert shown == path.read_text(encoding="utf-8")


def test_no_file_is_left_over():
    assert {path.stem for path in FOLDER.iterdir()} == set(GOLDEN)


def written(message: Message) -> str:
    fields = {"text": message.text, "blocks": message.blocks, "terminal": message.terminal.split("\n")}
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
