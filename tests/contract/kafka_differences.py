"""How Kafkas differ: the one place where a test may know what it talks to.

What a kind lacks is named by test, with the reason. Such a test must fail: should the kind learn
it, the suite says so. What it never answers is not asked: an admin client that is given up while it
waits can end the whole process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class KafkaKind:
    """One kind of brokers.

    Attributes:
        patience: Seconds that an answer may take.
        lacks: Tests that fail on it, by the beginning of the name -> why.
        silent: Tests that would wait for ever, likewise.
    """

    name: str
    patience: float = 30.0
    lacks: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)


APACHE = KafkaKind(name="Apache Kafka")

_NO_CONTROLLER = "it has no controller: a topic is there once somebody asks for it"
_NO_ADMIN = "it answers clients that write and read, and hardly any question of an administrator"
_NO_RECORDS = "it keeps records as bytes, and looks into none of them"
_NO_TRANSACTIONS = (
    "it says yes to every step of a transaction, and hides, fences and commits nothing"
)
# librdkafka 2.16, `test.mock.num.brokers`.
MOCK = KafkaKind(
    name="librdkafka's mock cluster",
    patience=10.0,
    silent={
        "test_a_created_topic_": _NO_CONTROLLER,
        "test_a_topic_cannot_be_created_twice": _NO_CONTROLLER,
        "test_a_name_that_is_none_": _NO_CONTROLLER,
        "test_more_replicas_than_brokers_": _NO_CONTROLLER,
        "test_a_setting_": _NO_CONTROLLER,
        "test_what_is_only_validated_": _NO_CONTROLLER,
        "test_an_unknown_topic_": _NO_CONTROLLER,
        "test_a_deleted_topic_": _NO_CONTROLLER,
        "test_partitions_": _NO_CONTROLLER,
        "test_a_compacted_topic_": _NO_CONTROLLER,
        "test_a_record_over_the_topics_": _NO_CONTROLLER,
        "test_records_are_deleted_": _NO_ADMIN,
        "test_a_group_is_described_": _NO_ADMIN,
        "test_a_group_that_has_members_": _NO_ADMIN,
        "test_a_group_that_is_not_there_": _NO_ADMIN,
        "test_the_offsets_of_a_group_": _NO_ADMIN,
    },
    lacks={
        "test_a_record_over_the_brokers_": _NO_RECORDS,
        "test_a_time_leads_": _NO_RECORDS,
        "test_what_is_rolled_back_": _NO_TRANSACTIONS,
        "test_what_is_not_committed_yet_": _NO_TRANSACTIONS,
        "test_a_zombie_": _NO_TRANSACTIONS,
        "test_a_new_instance_": _NO_TRANSACTIONS,
        "test_offsets_are_committed_with_": _NO_TRANSACTIONS,
        "test_a_transaction_may_not_": _NO_TRANSACTIONS,
    },
)
