"""The Avro schemas: files, compatibility, differences, and the registry's view of them."""
