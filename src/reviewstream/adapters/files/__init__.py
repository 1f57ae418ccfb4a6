"""Review files, read by byte offset."""
