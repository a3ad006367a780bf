"""The engine of the segmenter without weights; `models.segmenters.basic` is its public face."""
