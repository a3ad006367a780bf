"""One file per promptable segmentation model; each has a `SPEC` (see `models.registry`)."""
