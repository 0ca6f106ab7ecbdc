"""The command line of the generators.

sys.exit(generator.run(generate, __doc__))
"""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Callable, Sequence


def run(
    generate: Callable[..., float],
    description: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags and generates; returns the exit code.

    Args:
      generate: Takes `output_dir`, `num_files`, `rows_per_file`, `eval_rows`
        and `seed`; returns the best AUC that can be reached.
      description: Its first line is that of the help.
      argv: The arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output_dir", required=True, help="where to write")
    for name, default, what in (
        ("num_files", 24, "files to train on"),
        ("rows_per_file", 2000, "records in each of these"),
        ("eval_rows", 10_000, "records in the held-out file"),
        ("seed", 1, "seed of the signal and of the records"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=what)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the files of an earlier run",
    )
    options = vars(parser.parse_args(argv))
    overwrite, output_dir = options.pop("overwrite"), options["output_dir"]
    for name, value in options.items():
        if name != "output_dir" and value < 1:
            parser.error(f"Expected --{name} >= 1; got {value}.")
    # They would be trained on, too.
    old = glob.glob(os.path.join(glob.escape(output_dir), "*", "part-*"))
    if old and not overwrite:
        parser.error(
            f"Expected an --output_dir without generated files; {output_dir!r} "
            f"has {len(old)}. Choose another, or give --overwrite."
        )
    for path in old:
        os.remove(path)
    optimal_auc = generate(**options)
    print(f"Data in {output_dir}; optimal AUC {optimal_auc:.4f}")
    return 0
