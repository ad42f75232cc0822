"""``python -m agf``, where the package is on the path but not installed."""

import sys

from agf.cli import main

sys.exit(main())
