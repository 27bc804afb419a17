"""model: what would happen if. Pure."""
