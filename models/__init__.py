"""Segmentation and naming models: a library without Qt that never imports `annotator`.

Read `models.api` first. `import models` loads nothing heavy.
"""
