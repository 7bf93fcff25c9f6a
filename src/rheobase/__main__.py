"""`python -m rheobase`: the command line."""

import sys

from rheobase.cli import main

if __name__ == "__main__":
    sys.exit(main())
