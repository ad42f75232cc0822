"""A page on this machine that names the genre of music, by a model folder."""
