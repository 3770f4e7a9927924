"""Peers, a file per kind of task. Each file is a program (`python -m suite.peers.FILE PEER …`) that does the task the way
the peer's documentation does it, and prints what it found as JSON, for the check."""
