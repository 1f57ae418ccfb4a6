"""Telling a Spark session about our formats."""

from pyspark.sql import SparkSession

from reviewstream.spark.sink import ReviewsKafkaDataSource
from reviewstream.spark.source import ReviewsDataSource


def register(spark: SparkSession) -> None:
    """Make `format("reviews")` and `format("reviews-kafka")` known; twice is fine."""
    spark.dataSource.register(ReviewsDataSource)
    spark.dataSource.register(ReviewsKafkaDataSource)
