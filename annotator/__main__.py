"""`python -m annotator` is the same as the command `annotator`."""

from annotator.app import main

if __name__ == "__main__":
    raise SystemExit(main())
