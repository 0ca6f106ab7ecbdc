"""WorkQueueHook: the queue in Estimator and MonitoredTrainingSession.

    hook = WorkQueueHook()
    with tf.compat.v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        ...

A queue trains without it; the hook adds log lines and summaries.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.monitoring.progress import ProgressMeter
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.preemption import Preemption, as_preemption
from wq_hooks.core.step_timer import StepTimer
from wq_hooks.core.values import as_optional_bool
from wq_hooks.engines import engine_of
from wq_hooks.engines.graph import GraphEngine, engines_in
from wq_hooks.errors import WorkQueueError
from wq_hooks.hooks.progress_bar import Bar, new_bar
from wq_hooks.hooks.reporter import Reporter
from wq_hooks.hooks.summary import write_v1
from wq_hooks.metrics.chief_metrics import ChiefMetrics
from wq_hooks.runtime.threads import preemption
from wq_hooks.runtime.threads.session_leaver import SessionLeaver, on_close
from wq_hooks.work_queue import WorkQueue

_BAR_EVERY_SECS = 0.5
_PREEMPTION = Preemption()
_START = tf1.SessionLog(status=tf1.SessionLog.START)


class WorkQueueHook(tf1.train.SessionRunHook):
    """Logs and summarises queues.

    `begin` finds the queues of the graph.
    `after_create_session`, on the chief, waits until the queue has read its
    position. `before_run` and `after_run` count steps on the chief and report
    when it is time; while a step of the chief waits for long, as for the
    others near the end, a thread reports. `end` reports once more; TensorFlow
    calls it at the end of data and at a stop that was asked for, and not after
    an error: then what this task held goes back to the line. When the session
    is created again, queue and model go back to the same checkpoint.

    At SIGTERM, or at a notice, the next step meets the end of data: see
    `Preemption`. When the session has been closed, SystemExit is raised with
    the exit code, in the main thread.

    Args:
      work_queue: A WorkQueue, a sequence of them, or None for every queue of
        the graph.
      every_n_secs: How often to report, in seconds; None: by steps.
      every_n_steps: How often to report, in global steps; None: by seconds.
      summary_dir: Directory of the chief's summaries; None: beside the
        checkpoints, from the first save or restore on.
      is_chief: Whether this task keeps the ledgers; None: as each queue finds
        out, from the session's creator above all.
      metrics_port: TCP port of the chief on which Prometheus, and `wq-hooks
        status`, find the numbers; 0: a free one, which the log tells; None:
        none. It listens on all interfaces, without a password. Needs
        prometheus_client.
      progress_bar: Whether the chief shows a bar where its standard error is
        a terminal. Needs tqdm. Log lines go through it, so choose one.
      on_preemption: What to do at SIGTERM, and how soon; None: leave SIGTERM
        alone. A handler of SIGTERM that is there is called as well.

    Raises:
      ValueError: If both or none of every_n_secs and every_n_steps are given.
      TypeError: If `work_queue` is none, or `on_preemption` no Preemption.
    """

    def __init__(
        self,
        work_queue: WorkQueue | Sequence[WorkQueue] | None = None,
        *,
        every_n_secs: float | None = 60.0,
        every_n_steps: int | None = None,
        summary_dir: str | None = None,
        is_chief: bool | None = None,
        metrics_port: int | None = None,
        progress_bar: bool = False,
        on_preemption: Preemption | None = _PREEMPTION,
    ):
        if every_n_steps is not None:
            every_n_secs = None
        elif every_n_secs is None:
            raise ValueError(
                "Expected every_n_secs or every_n_steps; got None for both."
            )
        self._given = _engines_of(work_queue)
        self._summary_dir = summary_dir
        self._is_chief = as_optional_bool("is_chief", is_chief)
        self._timer = StepTimer(every_n_secs, every_n_steps)
        self._queues: list[GraphEngine] = []
        self._viewers: dict[str, Viewer] = {}
        self._bar_meters: dict[str, ProgressMeter] = {}
        self._has_layout: set[str] = set()
        self._written_step = 0
        self._global_step: Any = None
        self._last_step = self._reported_step = 0
        self._every_n_secs = every_n_secs
        self._reporter: Reporter | None = None
        self._metrics = ChiefMetrics(metrics_port)
        self._wants_bars = progress_bar
        self._bars: dict[str, Bar] = {}
        self._bars_due = 0.0
        self._on_preemption = as_preemption(on_preemption)
        self._watch = preemption.watch(None)
        self._leaver: SessionLeaver | None = None

    def begin(self) -> None:
        """Finds the queues; see the class."""
        graph = tf1.get_default_graph()
        self._queues = self._given or list(engines_in(graph))
        for queue in self._queues:
            if queue.graph is not graph:
                raise ValueError(
                    f"Expected WorkQueue {queue.name!r} to belong to the "
                    "graph of the session; it was made in another one. Make "
                    "it inside the input_fn, or pass work_queue=None."
                )
            queue.note_hook(self._is_chief)
        if not self._queues:
            raise WorkQueueError(
                "Expected a WorkQueue in the graph of the session; there is "
                "none."
            )
        self._viewers = {q.name: Viewer(q.name) for q in self._queues}
        self._bar_meters = {q.name: ProgressMeter() for q in self._queues}
        self._bars = {}
        self._has_layout = set()
        self._written_step = 0
        self._last_step = self._reported_step = 0
        self._timer.reset()
        self._global_step = tf1.train.get_global_step()
        self._leaver = None
        self._begin_watch()

    def after_create_session(
        self, session: tf1.Session, coord: tf.train.Coordinator
    ) -> None:
        """Waits, on the chief, until the queues have read their position."""
        self._watch_session(session, coord)
        for queue in self._queues:
            service = queue.service(session)
            if queue.role.is_chief and service is not None:
                service.wait_until_ready()
        if self._reporter is not None:
            self._reporter.stop()
            self._reporter = None
        if self._has_ledger():
            self._last_step = self._reported_step = self._read_step(session)
        self._metrics.start([q for q in self._queues if q.role.is_chief])
        if self._every_n_secs is not None and self._has_ledger():
            self._reporter = Reporter(
                functools.partial(self._read_and_report, session),
                every_secs=self._every_n_secs,
                is_live=lambda: any(
                    queue.chief is not None for queue in self._queues
                ),
            )
            self._reporter.start()

    def before_run(
        self, run_context: tf1.train.SessionRunContext
    ) -> tf1.train.SessionRunArgs | None:
        """Asks for the global step, on the chief, where steps decide.

        It comes from a parameter server, which makes each step a little longer.
        """
        del run_context
        if self._leaver is not None:
            self._leaver.begin_step()
        by_steps = self._every_n_secs is None and self._has_ledger()
        if self._global_step is None or not by_steps:
            return None
        return tf1.train.SessionRunArgs(self._global_step)

    def after_run(
        self,
        run_context: tf1.train.SessionRunContext,
        run_values: tf1.train.SessionRunValues,
    ) -> None:
        """Reports if it is time."""
        if self._leaver is not None:
            self._leaver.end_step()
        if not self._has_ledger():
            return
        self._update_bars()
        if run_values.results is None:
            self._last_step += 1
        else:
            # It was read before this step was counted, or after.
            self._last_step = int(run_values.results) + 1
        if self._timer.is_due(self._last_step):
            self._last_step = self._read_step(run_context.session)
            if self._timer.is_due(self._last_step):
                self._timer.note(self._last_step)
                self._report_now()

    def end(self, session: tf1.Session) -> None:
        """Reports, and notes that the session ends without an error."""
        if self._leaver is not None:
            self._leaver.note_end()
        if self._has_ledger():
            self._last_step = self._read_step(session)
            self._report_now()
        if self._reporter is not None:
            self._reporter.stop()
        self._metrics.close()
        self._bars_due = 0.0
        self._update_bars()
        for bar in self._bars.values():
            bar.close()
        for queue in self._queues:
            service = queue.service(session)
            if service is not None:
                service.note_end()

    def _begin_watch(self) -> None:
        self._watch.close()
        self._watch = preemption.watch(
            self._on_preemption,
            self._leave,
            is_idle=lambda: (
                self._leaver is None
                and not any(queue.is_running for queue in self._queues)
            ),
            name=", ".join(f"work queue {q.name}" for q in self._queues),
        )

    def _watch_session(
        self, session: tf1.Session, coord: tf.train.Coordinator
    ) -> None:
        if self._watch.closed.is_set():
            self._begin_watch()
        services = [queue.service(session) for queue in self._queues]
        self._leaver = SessionLeaver(
            [service for service in services if service is not None],
            coord,
            self._watch,
            saves=self._has_ledger(),
        )
        on_close(session, self._note_close)
        if self._watch.is_preempted:
            self._watch.tell()

    def _leave(self) -> None:
        if self._leaver is not None:
            self._leaver.leave()

    def _note_close(self) -> None:
        self._leaver = None
        if self._watch.is_preempted or not isinstance(
            sys.exc_info()[1],
            (tf.errors.AbortedError, tf.errors.UnavailableError),
        ):
            self._watch.leave()
        # Else the session is created again.

    def _read_step(self, session: tf1.Session) -> int:
        if self._global_step is None:
            return self._last_step
        return int(session.run(self._global_step))

    def _has_ledger(self) -> bool:
        return any(queue.role.is_chief for queue in self._queues)

    def _update_bars(self) -> None:
        now = time.monotonic()
        if not self._wants_bars or now < self._bars_due:
            return
        self._bars_due = now + _BAR_EVERY_SECS
        for queue in self._queues:
            chief = queue.chief
            if chief is None:
                continue
            progress = chief.progress(self._bar_meters[queue.name])
            if queue.name not in self._bars:
                bar = new_bar(queue.name)
                if bar is None:
                    self._wants_bars = False
                    return
                self._bars[queue.name] = bar
            self._bars[queue.name].update(progress)

    def _report_now(self) -> None:
        if self._reporter is None:
            self._reported_step = self._last_step
            self._report()
        else:
            self._reporter.report()

    def _read_and_report(self, session: tf1.Session) -> None:
        # Read here, where nobody else reports: what was read before the other
        # thread has reported would lie behind it. A session that was closed
        # meanwhile tells nothing any more.
        with contextlib.suppress(RuntimeError, tf.errors.OpError):
            self._reported_step = self._read_step(session)
        self._report()

    def _report(self) -> None:
        for queue in self._queues:
            chief = queue.chief
            if chief is None:
                continue
            view = chief.view(self._viewers[queue.name])
            logging.info("Work queue %s: %s.", queue.name, view.in_words())
            self._write_summary(queue, view)

    def _write_summary(self, queue: GraphEngine, view: View) -> None:
        directory = self._summary_dir or queue.checkpoint_directory
        if not directory:
            return
        with queue.graph.as_default():
            # A thread of its own is in eager mode until it says otherwise.
            writer = tf1.summary.FileWriterCache.get(directory)
        step = self._reported_step
        if step < self._written_step:
            # The session went back to a checkpoint: the curve goes on there.
            writer.add_session_log(_START, step)
        self._written_step = step
        write_v1(
            writer,
            view,
            step,
            with_level=not queue.has_summary,
            with_layout=queue.name not in self._has_layout,
        )
        self._has_layout.add(queue.name)


def _engines_of(
    work_queue: WorkQueue | Sequence[WorkQueue] | None,
) -> list[GraphEngine]:
    if work_queue is None:
        return []
    if isinstance(work_queue, WorkQueue):
        work_queue = [work_queue]
    queues = list(work_queue) if isinstance(work_queue, Sequence) else [None]
    engines = []
    for queue in queues:
        if not isinstance(queue, WorkQueue):
            raise TypeError(
                "Expected work_queue to be a WorkQueue, a sequence of them, "
                f"or None; got {work_queue!r:.200}."
            )
        engine = engine_of(queue)
        if not isinstance(engine, GraphEngine):
            raise TypeError(
                "Expected a WorkQueue of a graph; got one that was made in "
                "eager mode. With Keras use WorkQueueCallback; otherwise make "
                "the queue inside the input_fn, or under "
                "`with tf.Graph().as_default():`."
            )
        engines.append(engine)
    return engines
