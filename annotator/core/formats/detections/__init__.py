"""Boxes of detectors: COCO results, YOLO text, Pascal VOC, each one file with a reader."""
