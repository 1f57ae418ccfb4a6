"""Download progress: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.progress import Progress

from reviewstream_testbed.installation.jars import LOCK_FILE, SIZE, read_lock


def show(names: Iterable[str], environ: Mapping[str, str], console: Console) -> None:
    """Show the progress of a download that yields each file's name twice."""
    count = len(read_lock(LOCK_FILE.read_text()))
    title = f"Downloading {count} files ({SIZE} MB), once"
    if not console.is_terminal or "CI" in environ:
        console.print(f"{title} ...")
        console.print(f"Downloaded {sum(1 for _ in names) // 2} files.")
        return
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=2 * count)
        for name in names:
            progress.update(task, advance=1, description=f"{title}: {name}")


def stderr() -> Console:
    """Return a console on standard error, so that output can be piped."""
    return Console(file=sys.stderr, highlight=False)
