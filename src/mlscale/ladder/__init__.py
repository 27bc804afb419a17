"""ladder: what to do. One file a rung. Pure."""
