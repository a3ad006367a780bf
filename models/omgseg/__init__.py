"""OMG-Seg and RAP-SAM in the program: their files."""
