"""observe: reads the machine, minimal processing. Everything here is I/O; nothing decides."""
