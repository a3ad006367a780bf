"""File formats: one package or module each, with plain functions between files and values."""
