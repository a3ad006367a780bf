"""Trackers, one module each; see `models.tracking`."""
