"""Models that label images by themselves, one a file; see `models.labelling`."""
