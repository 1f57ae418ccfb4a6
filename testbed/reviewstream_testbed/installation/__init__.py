"""Java, jars and home folders of the servers."""
