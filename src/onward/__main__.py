"""``python -m onward`` is the command ``onward``."""

import sys

from .cli import main

sys.exit(main())
