"""cli: parse, call, render. One file a command."""
