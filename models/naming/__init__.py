"""Names of objects: vectors, text embeddings and how they are ranked."""
