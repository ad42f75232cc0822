"""Stage: a trained case as a folder of its own, for new music."""
