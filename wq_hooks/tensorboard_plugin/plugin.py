"""The tab "Work Queue": routes, from a request to JSON or to an asset.

It reads through TensorBoard's data provider alone, so that remote log
directories work, and never opens a path that came from a log. Each asset has a
route of its own: no name from a request becomes a path.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from typing import Any

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from wq_hooks.tensorboard_plugin import metadata
from wq_hooks.tensorboard_plugin.card import card_of
from wq_hooks.tensorboard_plugin.items import found_items
from wq_hooks.tensorboard_plugin.reading import Found, Reader

_STATIC = os.path.join(os.path.dirname(__file__), "static")
# A wrong type would keep the browser from running a module, and the types that
# `mimetypes` knows depend on the machine.
_TYPE_OF_ENDING = {".js": "text/javascript", ".css": "text/css"}
_TYPE_OF_ASSET = {
    name: _TYPE_OF_ENDING[os.path.splitext(name)[1]]
    for name in sorted(os.listdir(_STATIC))
    if os.path.splitext(name)[1] in _TYPE_OF_ENDING
}


class WorkQueuePlugin(base_plugin.TBPlugin):
    """Serves the tab."""

    plugin_name = metadata.PLUGIN_NAME

    def __init__(self, context: base_plugin.TBContext):
        self._reader = Reader(context.data_provider)

    def is_active(self) -> bool:
        """Returns False: TensorBoard itself looks for a state to show."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Returns how TensorBoard shows the tab."""
        return base_plugin.FrontendMetadata(
            es_module_path="/index.js", tab_name="Work Queue"
        )

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """Returns the routes."""
        apps: dict[str, Callable[..., Any]] = {
            f"/{name}": functools.partial(_serve_asset, name)
            for name in _TYPE_OF_ASSET
        }
        application = wrappers.Request.application
        apps["/queues"] = application(self._queues)
        apps["/card"] = application(self._card)
        apps["/item"] = application(self._item)
        return apps

    def _queues(self, request: wrappers.Request) -> wrappers.Response:
        """[{"run": ..., "queue": ..., "time": ...}, ...], newest first."""
        return _json_response(
            request, self._reader.queues(*_experiment_of(request))
        )

    def _card(self, request: wrappers.Request) -> wrappers.Response:
        """Everything about one queue of one run; see `card.card_of`."""
        run, queue = _arguments_of(request, "run", "queue")
        found = self._found(request, run, queue)
        return _json_response(request, card_of(found, now=time.time()))

    def _item(self, request: wrappers.Request) -> wrappers.Response:
        """Where the items of a name are; see `items.found_items`."""
        run, queue, text = _arguments_of(request, "run", "queue", "text")
        found = self._found(request, run, queue)
        return _json_response(request, found_items(found, text))

    def _found(self, request: wrappers.Request, run: str, queue: str) -> Found:
        found = self._reader.read(*_experiment_of(request), run, queue)
        if found is None:
            raise errors.NotFoundError(
                f"Expected a queue of the log; got {queue!r:.200} of run "
                f"{run!r:.200}."
            )
        return found


def _arguments_of(request: wrappers.Request, *names: str) -> list[str]:
    given = [request.args.get(name) for name in names]
    values = [value for value in given if value is not None]
    if len(values) < len(names):
        raise errors.InvalidArgumentError(
            f"Expected the arguments {', '.join(names)}; got "
            f"{sorted(request.args)!r:.200}."
        )
    return values


def _experiment_of(request: wrappers.Request) -> tuple[Any, str]:
    return (
        plugin_util.context(request.environ),
        plugin_util.experiment_id(request.environ),
    )


def _json_response(request: wrappers.Request, value: Any) -> wrappers.Response:
    text = json.dumps(value, separators=(",", ":"))
    return http_util.Respond(request, text, "application/json")


def _serve_asset(name: str, environ: Any, start_response: Any) -> Any:
    request = wrappers.Request(environ)
    with open(os.path.join(_STATIC, name), "rb") as asset:
        content = asset.read()
    response = http_util.Respond(request, content, _TYPE_OF_ASSET[name])
    return response(environ, start_response)
