"""Networks in plain torch, our own code, whose state-dict keys are those of published files.

Importing a package in here imports torch (seconds): only loaders, exporters, training and tests
do that, never the click path of the application.
"""
