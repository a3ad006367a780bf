"""How good a segmenter is on labelled images: `evaluate(segmenter, dataset, options) -> Report`."""

from models.training.evaluation.dataset import Dataset, read_dataset
from models.training.evaluation.measuring import Options, evaluate
from models.training.evaluation.report import STEPS, Report

__all__ = ["STEPS", "Dataset", "Options", "Report", "evaluate", "read_dataset"]
