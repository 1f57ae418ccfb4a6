"""Coverage-guided fuzzing: `python -m tests.fuzz TARGET [SECONDS]`.

Inputs that reach something new are added to `tests/fuzz/corpus/TARGET`; one that breaks a target
is written beside it, and the exit code says so.
"""

import sys

import atheris

with atheris.instrument_imports(include=["reviewstream"]):
    from tests.fuzz.targets import CORPUS, TARGETS

MAX_SIZE = 4096  # bytes of an input


def main(name: str, seconds: str = "60") -> None:
    """Run one target; libFuzzer ends the process."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_SIZE}", "-rss_limit_mb=1024"]
    where = [f"-artifact_prefix={CORPUS}/{name}-", str(folder)]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", *where], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
