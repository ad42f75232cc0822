"""From trained networks to genre: window embeddings and the transfer MLP."""
