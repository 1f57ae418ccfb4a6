from reviewstream.settings import Settings
from reviewstream.spark import label_reviews, register, spark_session

settings = Settings()  # reviewstream.toml, REVIEWSTREAM_..., OPENAI_API_KEY
spark = spark_session(settings.spark)
register(spark)
reviews = spark.readStream.format("reviews").option("port", settings.source.port).load()
labelled = reviews.transform(label_reviews(settings))
labelled.writeStream.format("reviews-kafka").options(
    **{"kafka.bootstrap.servers": settings.kafka.bootstrap_servers},
    schemaRegistryUrl=settings.registry.url,
    registerSchemas="true",  # for a first try; otherwise `reviewstream schemas register`
    checkpointLocation=settings.spark.checkpoint,
).trigger(availableNow=True).start().awaitTermination()
