// The workers, one row each; a click on a head sorts.

import {el, name, scrolled} from './dom.js';
import * as format from './format.js';

const MAX_ROWS = 200;
const LEAST_TO_SEARCH = 10;

const {isKnown} = format;

function hasRecords(data) {
  return data.records > 0;
}

// `isText`: ascending at first; `isShown`: not where nobody has measured it.
const COLUMNS = [
  {key: 'name', text: 'Worker', isText: true},
  {key: 'completed', text: 'Items'},
  {key: 'share', text: 'Share'},
  {key: 'records_per_sec', text: 'Records', isRate: true, isShown: hasRecords},
  {key: 'item_secs', text: 'Time per item'},
  {
    key: 'wait_share',
    text: 'Waiting',
    isShown: (data) => data.workers.some((worker) => isKnown(worker.wait_share)),
  },
  {key: 'item', text: 'Current item', isText: true},
  {key: 'age_secs', text: 'Age'},
  {key: 'last_heard_secs', text: 'Last heard'},
  {
    key: 'host',
    text: 'Host:pid',
    isText: true,
    isShown: (data) => data.workers.some((worker) => worker.host),
  },
  {
    key: 'incarnation',
    text: 'Incarnation',
    isText: true,
    isShown: (data) => !data.workers.some((worker) => worker.host),
  },
];
export const SORTS = COLUMNS.map(({key}) => key);
export const DEFAULT_SORT = {key: 'age_secs', isDescending: true};

const collator = new Intl.Collator('en', {numeric: true});

function compare(column, a, b) {
  const [x, y] = [a[column.key], b[column.key]];
  if (column.isText) {
    return collator.compare(x ?? '', y ?? '');
  }
  return (x ?? -Infinity) - (y ?? -Infinity);
}

export class WorkersTable {
  // `onSort` is told {key, isDescending} when a head is clicked.
  constructor(label, sort, onSort) {
    this.data = null;
    this.sort = sort;
    this.onSort = onSort;
    // Names of workers whose reason is open.
    this.opened = new Set();
    this.heads = el('tr');
    this.rows = el('tbody');
    this.note = el('p', {class: 'note', role: 'status'});
    this.find = el('input', {
      type: 'search',
      placeholder: 'Find a worker',
      'aria-label': 'Find a worker',
      input: () => this.draw(),
    });
    this.root = el(
      'div',
      {class: 'workers'},
      el('div', {class: 'title'}, el('h3', {}, 'Workers'), this.find, this.note),
      scrolled(`Workers of ${label}`, this.heads, this.rows)
    );
  }

  by(column) {
    this.onSort({
      key: column.key,
      isDescending:
        this.sort.key === column.key ? !this.sort.isDescending : !column.isText,
    });
  }

  setSort(sort) {
    this.sort = sort;
    if (this.data) {
      this.draw();
    }
  }

  update(data, units) {
    this.data = data;
    this.units = units;
    this.columns = COLUMNS.filter(({isShown}) => !isShown || isShown(data));
    const texts = this.columns.map(({text, isRate}) =>
      isRate ? `${text}/${units.records.text}` : text
    );
    const shown = texts.join();
    // Only when they change: a head that has the focus keeps it.
    if (shown !== this.shownHeads) {
      this.shownHeads = shown;
      this.heads.replaceChildren(
        ...this.columns.map((column, i) => this.head(column, texts[i]))
      );
    }
    this.draw();
  }

  head(column, text) {
    return el(
      'th',
      {scope: 'col', class: column.isText ? null : 'number', 'data-key': column.key},
      el(
        'button',
        {type: 'button', 'data-sort': column.key, click: () => this.by(column)},
        text
      )
    );
  }

  draw() {
    const {key, isDescending} = this.sort;
    for (const head of this.heads.children) {
      head.setAttribute(
        'aria-sort',
        head.dataset.key !== key ? 'none' : isDescending ? 'descending' : 'ascending'
      );
    }
    const column = COLUMNS.find((one) => one.key === key);
    const sign = isDescending ? -1 : 1;
    const wanted = this.find.value.toLowerCase();
    const found = this.data.workers.filter((worker) =>
      worker.name.toLowerCase().includes(wanted)
    );
    found.sort(
      (a, b) =>
        a.has_left - b.has_left ||
        sign * compare(column, a, b) ||
        collator.compare(a.name, b.name)
    );
    const shown = found.slice(0, MAX_ROWS);
    this.rows.replaceChildren(
      ...shown.flatMap((worker) =>
        worker.slow && this.opened.has(worker.name)
          ? [this.row(worker), this.reason(worker)]
          : [this.row(worker)]
      )
    );
    const {num_workers: total, workers} = this.data;
    this.find.hidden = workers.length <= LEAST_TO_SEARCH && !wanted;
    this.note.textContent = this.noteOf(shown.length, total);
  }

  noteOf(numShown, total) {
    const {workers, since, started, completed_before: before} = this.data;
    const slow = workers.filter((worker) => worker.slow).length;
    return [
      numShown < total
        ? `${format.count(numShown)} of ${format.count(total)}`
        : format.count(total),
      slow ? `${format.count(slow)} slow` : '',
      before && since > started
        ? `items and shares since ${format.moment(since)}, without the ` +
          `${format.count(before)} completed before`
        : '',
    ]
      .filter(Boolean)
      .join(', ');
  }

  badge(worker) {
    const {word, slow: why} = worker;
    if (!word) {
      return null;
    }
    if (word !== 'slow') {
      return el('span', {class: `badge ${word}`}, word);
    }
    return el(
      'button',
      {
        type: 'button',
        class: 'badge slow',
        title: why,
        'aria-label': `slow: why ${worker.name}?`,
        'aria-expanded': String(this.opened.has(worker.name)),
        click: (event) => this.toggle(worker, event.target),
      },
      word
    );
  }

  // Opens or closes the row that says why a worker is slow.
  toggle(worker, button) {
    const row = button.closest('tr');
    if (this.opened.delete(worker.name)) {
      row.nextSibling.remove();
    } else {
      this.opened.add(worker.name);
      row.after(this.reason(worker));
    }
    button.setAttribute('aria-expanded', String(this.opened.has(worker.name)));
  }

  reason(worker) {
    const cell = el('td', {colspan: this.columns.length}, worker.slow);
    return el('tr', {class: 'reason'}, cell);
  }

  heard(worker) {
    if (worker.has_left) {
      return '';
    }
    const {time, now, is_live: isLive} = this.data;
    if (isLive === false) {
      return format.moment(time - worker.last_heard_secs);
    }
    const age = Math.max(now - time, 0) + worker.last_heard_secs;
    return `${format.secs(age)} ago`;
  }

  times(worker) {
    const quantiles = worker.item_quantiles;
    const cell = [format.secs(worker.item_secs)];
    if (quantiles) {
      const [p10, , p90] = quantiles;
      cell.push(
        el(
          'span',
          {class: 'range', title: 'p10 to p90 of its last items'},
          ` (${format.range(p10, p90)})`
        )
      );
    }
    return cell;
  }

  starts(worker) {
    return worker.num_starts > 1
      ? el(
          'span',
          {class: 'badge starts', title: 'how often it was started'},
          `start ${worker.num_starts}`
        )
      : null;
  }

  cell({key}, worker) {
    const cells = {
      name: () => [name(worker.name), this.badge(worker)],
      completed: () => [format.count(worker.completed)],
      share: () => [
        el('span', {class: 'share', style: `--share: ${worker.share}`}),
        format.percent(worker.share),
      ],
      records_per_sec: () => [
        format.rate(worker.records_per_sec, 'records', this.units.records)[0],
      ],
      item_secs: () => this.times(worker),
      wait_share: () => [
        isKnown(worker.wait_share) ? format.percent(worker.wait_share) : '\u2013',
      ],
      item: () => [
        worker.item ? name(worker.item) : '',
        worker.in_hand > 1
          ? el('span', {class: 'more'}, ` +${worker.in_hand - 1}`)
          : null,
      ],
      age_secs: () => [format.secs(worker.age_secs)],
      last_heard_secs: () => [this.heard(worker)],
      host: () => [
        worker.host
          ? name(`${worker.host}${isKnown(worker.pid) ? `:${worker.pid}` : ''}`, {
              title: worker.incarnation,
            })
          : '',
        this.starts(worker),
      ],
      incarnation: () => [
        name(worker.incarnation.slice(0, 6), {title: worker.incarnation}),
        this.starts(worker),
      ],
    };
    return cells[key]();
  }

  row(worker) {
    const classes = [
      worker.slow ? 'is-slow' : '',
      worker.has_left ? 'has-left' : '',
    ];
    return el(
      'tr',
      {class: classes.join(' ').trim() || null, 'data-worker': worker.name},
      ...this.columns.map((column) =>
        el(
          'td',
          {class: column.isText ? 'text' : 'number'},
          ...this.cell(column, worker)
        )
      )
    );
  }
}
