"""mlscale: watches a training job and says which scaling step is next."""

__version__ = "0.1.0"
