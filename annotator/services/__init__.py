"""QObjects without widgets: the observable document, its journal, the worker threads."""
