"""The resumable TCP protocol and its lines, without sockets."""
