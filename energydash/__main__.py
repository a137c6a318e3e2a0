"""Let `python -m energydash` be the `energydash` command."""

from energydash.cli import main

if __name__ == "__main__":
    main()
