"""Training of Open-Vocabulary SAM: `sam2clip` teaches the neck, `clip2sam` masks and names.

Source: Yuan et al., "Open-Vocabulary SAM" (2024); spec/ovsam_omgseg.md, A.5.
"""
