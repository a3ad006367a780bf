"""Changing masks pixel by pixel: pure functions whose costs follow the part that is touched."""
