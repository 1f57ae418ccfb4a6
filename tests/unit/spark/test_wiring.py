import reviewstream.app
from reviewstream.spark.wiring import Wiring, wiring

ROOT: Wiring = reviewstream.app  # the type checker compares every function


def test_the_wiring_is_the_composition_root() -> None:
    assert wiring() is ROOT
