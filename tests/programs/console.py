"""Runs the lines of Python that it is given, one by one.

    {"run": "x = 1"}  ->  {"value": null}
    {"value": "x + 1"}  ->  {"value": 2}

Each line of the input and of the output is JSON. A test drives a process of
its own by it, step by step.
"""

from __future__ import annotations

import json
import os
import sys
import traceback


def main():
    # TensorFlow writes to the standard output now and then.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    scope = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"value": None}
        try:
            if "run" in request:
                exec(request["run"], scope)
            else:
                answer["value"] = eval(request["value"], scope)
        except Exception as e:
            if "KeyboardInterrupt" in str(e):
                # TensorFlow's way to hand it on, now and then.
                raise
            traceback.print_exc()
            answer["error"] = f"{type(e).__name__}: {e}"
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
