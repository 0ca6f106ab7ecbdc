// What is chosen: the run, the queue, the axis, the order of the workers. The
// address of the page follows, and is followed.

import {el} from './dom.js';
import {followAddress, readChoice, writeChoice} from './host.js';
import {DEFAULT_SORT, SORTS} from './workers_table.js';

const ALL = '';
const AXES = ['time', 'step'];

function sortOf(text) {
  const key = text?.replace(/^-/, '');
  return SORTS.includes(key)
    ? {key, isDescending: text.startsWith('-')}
    : DEFAULT_SORT;
}

function textOf({key, isDescending}) {
  return `${isDescending ? '-' : ''}${key}`;
}

export class Choice {
  // `onQueues()`, `onAxis(axis)` and `onSort(sort)` are called on a change.
  constructor({onQueues, onAxis, onSort}) {
    this.onQueues = onQueues;
    this.onAxis = onAxis;
    this.onSort = onSort;
    this.queues = [];
    this.run = el('select', {
      id: 'run',
      change: () => this.choose(this.run.value, this.wanted.queue),
    });
    this.queue = el('select', {
      id: 'queue',
      change: () => this.choose(this.wanted.run, this.queue.value),
    });
    this.axes = AXES.map((value) =>
      el('input', {
        type: 'radio',
        name: 'axis',
        value,
        change: () => this.setAxis(value),
      })
    );
    this.controls = [
      el('label', {}, 'Run ', this.run),
      el('label', {}, 'Queue ', this.queue),
      el(
        'fieldset',
        {class: 'axis'},
        el('legend', {}, 'X axis'),
        ...this.axes.map((input, i) =>
          el('label', {}, input, AXES[i] === 'time' ? 'Time' : 'Step')
        )
      ),
    ];
    this.read();
    followAddress(() => this.readAgain());
  }

  read() {
    const {run = ALL, queue = ALL, axis, sort} = readChoice();
    this.wanted = {run, queue};
    this.axis = AXES.includes(axis) ? axis : AXES[0];
    this.sort = sortOf(sort);
    this.axes.forEach((input) => {
      input.checked = input.value === this.axis;
    });
  }

  readAgain() {
    const before = JSON.stringify(this.wanted);
    const {axis} = this;
    this.read();
    if (this.axis !== axis) {
      this.onAxis(this.axis);
    }
    this.onSort(this.sort);
    if (JSON.stringify(this.wanted) !== before) {
      this.onQueues();
    }
  }

  write() {
    writeChoice({
      ...this.wanted,
      axis: this.axis === AXES[0] ? '' : this.axis,
      sort: textOf(this.sort) === textOf(DEFAULT_SORT) ? '' : textOf(this.sort),
    });
  }

  // By hand: another run may not have the queue.
  choose(run, queue) {
    const isThere = this.queuesOf(run).includes(queue);
    this.wanted = {run, queue: isThere ? queue : ALL};
    this.onQueues();
  }

  setAxis(axis) {
    this.axis = axis;
    this.write();
    this.onAxis(axis);
  }

  setSort(sort) {
    this.sort = sort;
    this.write();
    this.onSort(sort);
  }

  ofCards() {
    return {axis: this.axis, sort: this.sort, onSort: (sort) => this.setSort(sort)};
  }

  runs() {
    return [...new Set(this.queues.map(({run}) => run))];
  }

  queuesOf(run) {
    const queues = this.queues.filter((one) => run === ALL || one.run === run);
    return [...new Set(queues.map(({queue}) => queue))];
  }

  // Fills the lists: the queues are those of the run.
  offer(queues) {
    this.queues = queues;
    const fill = (select, what, names, wanted) => {
      const options = names.map((name) => el('option', {value: name}, name));
      if (wanted !== ALL && !names.includes(wanted)) {
        options.push(el('option', {value: wanted}, `${wanted} (not there)`));
      }
      select.replaceChildren(
        el('option', {value: ALL}, `All ${what} (${names.length})`),
        ...options
      );
      select.value = wanted;
    };
    const {run, queue} = this.wanted;
    fill(this.run, 'runs', this.runs(), run);
    fill(this.queue, 'queues', this.queuesOf(run), queue);
  }

  chosen(queues) {
    const {run, queue} = this.wanted;
    return queues.filter(
      (one) =>
        (run === ALL || one.run === run) && (queue === ALL || one.queue === queue)
    );
  }

  // Why nothing is shown; "" where something is.
  whyEmpty(queues) {
    if (!queues.length) {
      return (
        'No queue has written to this log yet. WorkQueueHook and ' +
        'WorkQueueCallback write when a job begins.'
      );
    }
    if (this.chosen(queues).length) {
      return '';
    }
    const {run, queue} = this.wanted;
    const isolated = (names) => names.map((name) => `\u2068${name}\u2069`).join(', ');
    if (run !== ALL && !this.runs().includes(run)) {
      return (
        `This log has no run ${isolated([run])} with a queue. ` +
        `It has: ${isolated(this.runs())}.`
      );
    }
    const where = run === ALL ? 'This log' : `Run ${isolated([run])}`;
    return (
      `${where} has no queue ${isolated([queue])}. ` +
      `It has: ${isolated(this.queuesOf(run))}.`
    );
  }
}
