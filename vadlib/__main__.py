"""`python -m vadlib` is the `vadlib` command."""

from vadlib.cli import main

if __name__ == "__main__":
    main()
