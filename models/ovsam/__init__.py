"""Open-Vocabulary SAM as a segmenter whose embeddings also give vectors for names."""
