"""Runs a program on its task's host of a `tests.support.network.Network`.

python on_network.py '{"chief:0": ["namespace", "10.83.0.2"]}' train.py ...
"""

from __future__ import annotations

import json
import os
import sys

hosts = json.loads(sys.argv[1])
config = json.loads(os.environ["TF_CONFIG"])
for job, addresses in config["cluster"].items():
    for index, address in enumerate(addresses):
        port = address.rpartition(":")[2]
        addresses[index] = f"{hosts[f'{job}:{index}'][1]}:{port}"
os.environ["TF_CONFIG"] = json.dumps(config)
task = config["task"]
namespace = hosts[f"{task['type']}:{task['index']}"][0]
command = ["ip", "netns", "exec", namespace, sys.executable, *sys.argv[2:]]
os.execvp("ip", command)
