"""A name stands for one thing: no public class and no module is there twice."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "src/reviewstream", ROOT / "testbed/reviewstream_testbed")
OF_EACH = {"__init__", "__main__", "ports"}  # modules that many packages have


def modules(*packages: Path) -> Iterator[Path]:
    for package in packages:
        yield from package.rglob("*.py")


def classes(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def twice(*packages: Path) -> Mapping[str, list[str]]:
    """Return the modules of each name that two classes or two modules have."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module in modules(*packages):
        for name in classes(module):
            found[name].append(module.stem)
        if module.stem not in OF_EACH:
            found[module.stem].append(module.parent.name)
    return {name: sorted(places) for name, places in found.items() if len(places) > 1}


def test_no_name_is_there_twice() -> None:
    assert twice(*PACKAGES) == {}


def test_a_name_that_is_there_twice_is_found(tmp_path: Path) -> None:
    ours, testbed = tmp_path / "ours", tmp_path / "testbed"
    for package, module in ((ours, "orders"), (testbed, "orders"), (testbed, "bills")):
        package.mkdir(exist_ok=True)
        (package / f"{module}.py").write_text("class _Line: ...\n")
    (ours / "orders.py").write_text("class Order: ...\nclass _Line: ...\n")
    (testbed / "bills.py").write_text("if True:\n    class Order: ...\n")
    assert twice(ours) == {}
    assert twice(ours, testbed) == {"Order": ["bills", "orders"], "orders": ["ours", "testbed"]}
