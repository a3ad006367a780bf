"""Boxes of detectors: COCO results, YOLO text, Pascal VOC, each one file with a reader."""

FORMATS = ("auto", "coco", "yolo", "voc")
"""What can be said to `reading.read_boxes`."""
