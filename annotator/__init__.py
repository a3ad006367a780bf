"""Annotator: click objects, get exact masks and ranked names, keep them as COCO."""

__version__ = "0.1.0"
