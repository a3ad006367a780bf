"""What runs the rest of the SAM family behind `models.api.Segmenter`; importing it is cheap."""
