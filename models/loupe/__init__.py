"""Loupe, the segmenter that ships: one embedding per image, a look through a window per prompt."""
