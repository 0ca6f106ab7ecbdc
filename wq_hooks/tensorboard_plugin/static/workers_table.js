// The workers, one row each; a click on a head sorts.

import {el, name} from './dom.js';
import * as format from './format.js';

const MAX_ROWS = 200;

const COLUMNS = [
  {key: 'name', text: 'Worker', isText: true},
  {key: 'completed', text: 'Items'},
  {key: 'share', text: 'Share'},
  {key: 'records_per_sec', text: 'Records/s'},
  {key: 'item_secs', text: 'Time per item'},
  {key: 'item', text: 'Current item', isText: true},
  {key: 'age_secs', text: 'Age'},
  {key: 'last_heard_secs', text: 'Last heard'},
  {key: 'incarnation', text: 'Incarnation', isText: true},
];

const collator = new Intl.Collator('en', {numeric: true});

function compare(column, a, b) {
  const [x, y] = [a[column.key], b[column.key]];
  if (column.isText) {
    return collator.compare(x, y);
  }
  return (x ?? -Infinity) - (y ?? -Infinity);
}

export class WorkersTable {
  constructor() {
    this.data = null;
    this.sort = 'age_secs';
    this.isDescending = true;
    this.heads = new Map();
    const row = el('tr');
    for (const column of COLUMNS) {
      const head = el(
        'th',
        {scope: 'col', class: column.isText ? null : 'number'},
        el(
          'button',
          {type: 'button', 'data-sort': column.key, click: () => this.by(column)},
          column.text
        )
      );
      this.heads.set(column.key, head);
      row.append(head);
    }
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
      el(
        'div',
        // To be scrolled with the keyboard as well.
        {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Workers'},
        el('table', {}, el('thead', {}, row), this.rows)
      )
    );
  }

  by(column) {
    this.isDescending =
      this.sort === column.key ? !this.isDescending : !column.isText;
    this.sort = column.key;
    this.draw();
  }

  update(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    for (const [key, head] of this.heads) {
      head.setAttribute(
        'aria-sort',
        key !== this.sort ? 'none' : this.isDescending ? 'descending' : 'ascending'
      );
    }
    const column = COLUMNS.find(({key}) => key === this.sort);
    const sign = this.isDescending ? -1 : 1;
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
    this.rows.replaceChildren(...shown.map((worker) => this.row(worker)));
    const {num_workers: total, workers} = this.data;
    const slow = workers.filter((worker) => worker.slow).length;
    this.find.hidden = workers.length <= 10 && !wanted;
    this.note.textContent = [
      shown.length < total
        ? `${format.count(shown.length)} of ${format.count(total)}`
        : format.count(total),
      slow ? `${format.count(slow)} slow` : '',
    ]
      .filter(Boolean)
      .join(', ');
  }

  row(worker) {
    const badge = worker.slow
      ? el('span', {class: 'badge slow', title: worker.slow}, 'slow')
      : worker.is_silent
        ? el('span', {class: 'badge silent'}, 'silent')
        : worker.has_left
          ? el('span', {class: 'badge left'}, 'left')
          : null;
    const more =
      worker.in_hand > 1
        ? el('span', {class: 'more'}, ` +${worker.in_hand - 1}`)
        : null;
    const starts =
      worker.num_starts > 1
        ? el(
            'span',
            {class: 'badge starts', title: 'how often it was started'},
            `start ${worker.num_starts}`
          )
        : null;
    const cells = [
      [name(worker.name), badge],
      [format.count(worker.completed)],
      [
        el('span', {class: 'share', style: `--share: ${worker.share}`}),
        format.percent(worker.share),
      ],
      [format.number(worker.records_per_sec)],
      [format.secs(worker.item_secs)],
      [worker.item ? name(worker.item) : '', more],
      [format.secs(worker.age_secs)],
      [worker.has_left ? '' : `${format.secs(worker.last_heard_secs)} ago`],
      [name(worker.incarnation.slice(0, 6), {title: worker.incarnation}), starts],
    ];
    const classes = [
      worker.slow ? 'is-slow' : '',
      worker.has_left ? 'has-left' : '',
    ];
    return el(
      'tr',
      {class: classes.join(' ').trim() || null, 'data-worker': worker.name},
      ...cells.map((cell, i) =>
        el('td', {class: COLUMNS[i].isText ? 'text' : 'number'}, ...cell)
      )
    );
  }
}
