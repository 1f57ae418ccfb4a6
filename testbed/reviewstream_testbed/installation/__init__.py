"""What the servers need before they start: Java, jars, home folders."""
