"""`python -m spikeline`: the command line without an installation."""

import sys

from spikeline.cli.main import main

sys.exit(main())
