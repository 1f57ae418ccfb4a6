"""What the mock endpoint was asked about, without texts of ours."""

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from reviewstream.core.labelling.controls import CONTROL_TEXTS
from reviewstream.core.labelling.probe import PROBE_TEXT

OURS = {sha256(text.encode()).hexdigest() for text in (*CONTROL_TEXTS, PROBE_TEXT)}


def of_users(reviews: Mapping[str, int]) -> Counter[str]:
    """Return how often each text was asked about, by its SHA-256: control texts and probe apart."""
    return Counter({digest: times for digest, times in reviews.items() if digest not in OURS})
