#!/usr/bin/env python3
"""Get models, and keep those in weights/ in order: `umx models`, for this checkout and its page.

    python3 scripts/weights.py get umxl               download UMX-L and convert it
    python3 scripts/weights.py get umxl --from DIR    the same from files that were downloaded by hand
    python3 scripts/weights.py convert DIR --name X   convert what openunmix's own training left in DIR
    python3 scripts/weights.py convert FILE --name X  convert an HTDemucs, .th or .safetensors
    python3 scripts/weights.py list                   the models here, and those that could be
    python3 scripts/weights.py verify [NAME …]        check every byte of them
    python3 scripts/weights.py remove NAME

An interrupted download goes on where it stopped. A model appears in weights/ when it is whole.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import environment
from scripts.common.index import WEIGHTS, write_index


def main(argv: list[str] | None = None) -> int:
    environment.need("numpy")
    from umx.desktop.models import add_commands

    top = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="python3 scripts/weights.py",
    )
    add_commands(top, "weights.py", WEIGHTS, changed=write_index)
    args = top.parse_args(argv)
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
