from confluent_kafka import DeserializingConsumer, SerializingProducer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from elasticsearch import Elasticsearch


def test_what_is_written_is_found(kafka, schema_registry, elasticsearch, topic, index):
    servers = {"bootstrap.servers": kafka.bootstrap_servers}
    admin = AdminClient(servers)
    admin.create_topics([NewTopic(topic.name)])[topic.name].result()
    group = {"group.id": topic.name, "auto.offset.reset": "earliest"}
    with SchemaRegistryClient({"url": schema_registry.url}) as avro:
        producer = SerializingProducer(
            servers | {"value.serializer": AvroSerializer(avro, '"string"')}
        )
        producer.produce(topic.name, value="fine food")
        producer.flush()
        consumer = DeserializingConsumer(
            servers | group | {"value.deserializer": AvroDeserializer(avro)}
        )
        consumer.subscribe([topic.name])
        review = consumer.poll(30).value()
        consumer.close()
    with Elasticsearch(elasticsearch.url) as search:
        search.indices.create(index=index.name)
        search.index(index=index.name, document={"text": review}, refresh=True)
        assert search.count(index=index.name, q="fine")["count"] == 1
