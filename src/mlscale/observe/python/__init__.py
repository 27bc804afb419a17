"""Reads the Python state of another process: its frames, and a few of their locals. Never stops it, never writes."""
