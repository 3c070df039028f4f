"""Spark applications that measure ours and the peer in turn, in one session: the same files, the same JVM."""
