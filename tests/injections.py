"""Texts that try to give orders to the model: each is data, and stays data."""

import json
from pathlib import Path

FILE = Path(__file__).with_name("injections.jsonl")


def _read() -> dict[str, str]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return {one["name"]: one["text"] * one.get("times", 1) for one in entries}


INJECTIONS = _read()
"""Name of each attempt, and its text; some of them no JSON can carry (a lone surrogate)."""
