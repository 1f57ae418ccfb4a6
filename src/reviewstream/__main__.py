"""`python -m reviewstream`."""

from reviewstream.cli import main

main()
