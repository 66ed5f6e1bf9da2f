"""Make every collection of sample scenes that is not there yet: ``python data-samples/scripts/sample_scenes.py FOLDER``.

Each program of the list takes the folder and leaves alone what is there already.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from pathlib import Path

PROGRAMS = ("corridor_scenes.py", "water_scenes.py")
"""In this order: the quick ones first."""


def main(arguments: list[str]) -> int:
    """Run the programs in this process, one after the other; one that fails does not keep the others from running."""
    failed = 0
    for name in PROGRAMS:
        path = str(Path(__file__).parent / name)
        sys.argv = [path, *arguments]
        try:
            runpy.run_path(path, run_name="__main__")
        except Exception:
            traceback.print_exc()
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
