"""Data files only: icons, sample images, word lists."""
