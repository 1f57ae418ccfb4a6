"""`python -m tools.engine_images build|list|remove|run`: run it in the folder of the clone."""

import argparse
import sys

from reviewstream_testbed.testbed_error import TestbedError
from tools.engine_images import engine_command, images_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.engine_images", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    images_command.add_to(verbs)
    engine_command.add_to(verbs)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except TestbedError as error:
        print(f"tools.engine_images: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
    except KeyboardInterrupt:
        return 130  # the shells' code for SIGINT


if __name__ == "__main__":
    sys.exit(main())
