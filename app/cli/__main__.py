"""`python -m app.cli` is `firstread`: how `firstread up` starts its own children."""

from app.cli import main

if __name__ == "__main__":
    main()
