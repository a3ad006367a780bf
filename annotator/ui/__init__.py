"""Widgets: they read the services, draw, and emit intentions; they hold no truth."""
