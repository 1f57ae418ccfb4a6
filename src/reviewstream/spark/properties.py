"""Names of the local properties that Spark sets in every task of a streaming query."""

from typing import Final

QUERY_ID: Final = "sql.streaming.queryId"  # in the checkpoint: the same in every start
RUN_ID: Final = "spark.jobGroup.id"  # of this start
BATCH_ID: Final = "streaming.sql.batchId"
