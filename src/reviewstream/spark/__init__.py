"""Spark support: a source, a labelling transform, and a sink."""

from reviewstream.extras import named_extras

with named_extras():
    from reviewstream.spark.labelling import label_reviews
    from reviewstream.spark.query import (
        BatchCounts,
        RunningQuery,
        batch_counts,
        counted,
        drain_and_stop,
        failure_sentence,
        start_query,
    )
    from reviewstream.spark.session import register, spark_session

__all__ = [
    "BatchCounts",
    "RunningQuery",
    "batch_counts",
    "counted",
    "drain_and_stop",
    "failure_sentence",
    "label_reviews",
    "register",
    "spark_session",
    "start_query",
]
