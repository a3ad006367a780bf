"""Pre-labelling: images to proposals, the same wherever it runs (window, command line, cluster)."""
