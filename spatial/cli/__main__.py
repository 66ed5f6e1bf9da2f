"""``python -m spatial.cli`` is ``onemap``."""

from spatial.cli import main

main()
