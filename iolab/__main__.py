"""`python -m iolab`."""

import sys

from iolab.command_line import main

if __name__ == "__main__":
    sys.exit(main())
