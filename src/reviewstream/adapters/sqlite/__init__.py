"""Stores in SQLite files, shared by the processes of one machine."""
