"""Measuring, making and adapting models: `python -m models.training COMMAND`."""
