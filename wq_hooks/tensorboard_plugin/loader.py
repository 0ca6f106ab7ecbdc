"""What TensorBoard's entry point names: loads the plugin, or leaves it out.

TensorBoard imports this module for each user who has the package, and an error
here would end the whole `tensorboard` command. So it imports nothing but
TensorBoard; an error in `load` only leaves the tab out.
"""

from __future__ import annotations

from typing import Any

from tensorboard.plugins import base_plugin

from wq_hooks.tensorboard_plugin import metadata


class WorkQueueLoader(base_plugin.TBLoader):
    """Loads the tab, and asks for enough points of its tensors."""

    def fix_flags(self, flags: Any) -> None:
        """Raises TensorBoard's limits in `flags`, unless the user set them.

        By default it keeps 10 points of a tensor, or 100 with the data server.
        """
        samples = getattr(flags, "samples_per_plugin", None)
        if isinstance(samples, dict):
            for plugin_name, num_samples in metadata.KEPT_SAMPLES.items():
                samples.setdefault(plugin_name, num_samples)

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin:
        """Returns the plugin for TensorBoard's `context`."""
        from wq_hooks.tensorboard_plugin.plugin import WorkQueuePlugin

        return WorkQueuePlugin(context)
