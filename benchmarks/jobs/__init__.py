"""Real training jobs for benchmarks, each with another kind of data and loader, in the style in which people write them."""
