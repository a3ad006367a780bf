"""EdgeSAM in onnxruntime: files, and the segmenter made from them. No torch in this process."""
