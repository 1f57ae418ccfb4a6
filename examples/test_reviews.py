from elasticsearch import Elasticsearch

SCHEMA = '{"type": "record", "name": "Review", "fields": [{"name": "text", "type": "string"}]}'


def test_what_is_written_is_read_and_found(elasticsearch, topic, index):
    topic.create()
    topic.produce_avro(SCHEMA, {"text": "fine food"}, {"text": "slow service"})
    fine, slow = topic.consume_avro(2)
    assert slow == {"text": "slow service"}
    with Elasticsearch(**elasticsearch.client_config) as client:
        client.indices.create(index=index.name)
        client.index(index=index.name, document=fine, refresh=True)
        found = client.search(index=index.name, q="food")
        assert found["hits"]["hits"][0]["_source"] == {"text": "fine food"}
