"""Start Annotator from a source checkout: `python main.py [FOLDER]`."""

from annotator.app import main

if __name__ == "__main__":
    raise SystemExit(main())
