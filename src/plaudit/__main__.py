"""`python -m plaudit` is the command line."""

from plaudit.cli.main import main

if __name__ == "__main__":
    main()
