"""A plan, and what a query over the same file then asks."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession

from reviewstream.adapters.files.review_files import open_log
from reviewstream.adapters.tcp.log_server import serving
from reviewstream.app import label_policy, open_archive
from reviewstream.core.labelling.planning import Planner, answer_tokens
from reviewstream.settings import LedgerSettings, OpenAISettings, Settings
from reviewstream.spark import label_reviews
from reviewstream.spark.options import source_options
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.spark.conftest import finish, sample, start


@pytest.mark.parametrize("pack", [1, 20])
def test_a_query_asks_what_was_planned(
    spark: SparkSession, openai_endpoint: OpenAIEndpoint, tmp_path: Path, pack: int
) -> None:
    openai_endpoint.reset()
    key = SecretStr(openai_endpoint.api_key)
    settings = Settings(
        openai=OpenAISettings(
            base_url=openai_endpoint.base_url,
            api_key=key,
            pack=pack,
            input_usd_per_million=0.15,
            output_usd_per_million=0.6,
        ),
        ledger=LedgerSettings(enabled=True, file=str(tmp_path / "ledger.sqlite3")),
    )
    lines = sample(3_000, seed=4)
    lines[100:100] = [b"{bad", b"", b"[]", *lines[:50]]
    path = tmp_path / "reviews.json"
    path.write_bytes(b"\n".join(lines))

    policy, ledger = label_policy(settings.openai), open_archive(settings.ledger)
    planner = Planner(policy, ledger, answer_tokens(ledger, policy), remembers=True)
    with open_log(path) as log:
        source = settings.source
        plan = planner.plan(
            log.lines(lambda *_: None),
            max_rows=source.max_rows_per_trigger,
            partitions=source.partitions,
        )
    ledger.close()

    with serving(path) as server:
        options = source_options(settings.source) | {"port": str(server.port)}
        stream = spark.readStream.format("reviews").options(**options).load()
        finish(start(stream.transform(label_reviews(settings)), tmp_path, available_now=True))
    seen = openai_endpoint.requests()
    asked = of_users(seen["reviews"])
    assert plan.to_ask == len(asked) == asked.total()
    assert plan.requests == pytest.approx(seen["requests"], rel=0.1)
    tokens = seen["prompt_tokens"] + seen["completion_tokens"]
    assert plan.tokens == pytest.approx(tokens, rel=0.1)
    rows = spark.read.parquet(str(tmp_path / "rows")).where("not provenance.from_ledger")
    paid = rows.selectExpr("sum(provenance.cost_micro_usd) as paid").first()
    assert paid is not None
    assert plan.cost_micro_usd == pytest.approx(paid["paid"], rel=0.1)
