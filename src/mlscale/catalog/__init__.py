"""Facts: what can be rented, and what typical jobs need. Read from `profiles/`, never from code."""
