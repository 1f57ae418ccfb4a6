"""How each benchmark is started, and what it prints."""

import argparse
import json
from collections.abc import Callable, Mapping


def run(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], Mapping[str, object]],
) -> None:
    """Read the arguments, measure, and print what was found."""
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    print(json.dumps(found) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
