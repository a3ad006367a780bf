"""What may be wrong with the objects of an image, and how it is repaired."""
