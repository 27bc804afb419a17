"""report: one report model, many renderers."""
