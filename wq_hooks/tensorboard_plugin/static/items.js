// Single items: the slowest, and where one of a name is.

import {el, name, scrolled} from './dom.js';
import * as format from './format.js';
import {fetchJson} from './host.js';

const TYPING_MSECS = 250;
const MAX_TAKES = 3;
const TEXT_OF_KIND = {...format.TEXT_OF_KIND, lost: 'lost'};

function table(label, heads, rows) {
  return scrolled(
    label,
    el(
      'tr',
      {},
      ...heads.map(([text, kind]) => el('th', {scope: 'col', class: kind}, text))
    ),
    el(
      'tbody',
      {},
      ...rows.map((cells) =>
        el('tr', {}, ...cells.map((cell, i) => el('td', {class: heads[i][1]}, cell)))
      )
    )
  );
}

export class Items {
  constructor(run, queue, label) {
    this.run = run;
    this.queue = queue;
    this.label = label;
    this.asked = '';
    this.find = el('input', {
      type: 'search',
      placeholder: 'Find an item',
      'aria-label': 'Find an item by its name',
      input: () => this.type(),
    });
    this.note = el('p', {class: 'note', role: 'status'});
    this.found = el('div', {class: 'found', hidden: true});
    this.slowest = el('div', {class: 'slowest'});
    this.root = el(
      'div',
      {class: 'items'},
      el('div', {class: 'title'}, el('h3', {}, 'Single items'), this.find, this.note),
      this.found,
      this.slowest
    );
  }

  update(data) {
    const slowest = data.slowest;
    this.slowest.hidden = !slowest.length;
    const hasParts = slowest.some((item) => item.wait_secs !== null);
    const hasRecords = slowest.some((item) => item.records !== null);
    const columns = [
      ['Item', 'text', (item) => name(item.item)],
      ['Worker', 'text', (item) => name(item.worker)],
      [
        'Time',
        'number',
        (item) =>
          format.secs(item.secs) +
          (item.times === null ? '' : ` (${item.times.toFixed(1)}\u00D7)`),
      ],
      hasRecords ? ['Records', 'number', (item) => format.count(item.records)] : null,
      hasParts ? ['Training', 'number', (item) => format.secs(item.train_secs)] : null,
      hasParts ? ['Waiting', 'number', (item) => format.secs(item.wait_secs)] : null,
      [
        'Ended',
        'text',
        (item) =>
          item.kind === 'open' ? 'still held' : format.moment(item.ended),
      ],
    ].filter(Boolean);
    this.slowest.replaceChildren(
      el('p', {class: 'note'}, `The slowest ${format.count(slowest.length)}`),
      table(
        `The slowest items of ${this.label}`,
        columns.map(([text, kind]) => [text, kind]),
        slowest.map((item) => columns.map(([, , cell]) => cell(item)))
      )
    );
    if (this.asked) {
      this.search();
    }
  }

  type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), TYPING_MSECS);
  }

  async search() {
    const text = this.find.value;
    this.asked = text;
    if (!text) {
      this.show(null);
      return;
    }
    let answer = null;
    let problem = '';
    try {
      const query = new URLSearchParams({run: this.run, queue: this.queue, text});
      answer = await fetchJson(`./item?${query}`);
    } catch (error) {
      problem = `Not found: ${error.message}`;
    }
    // Meanwhile somebody has typed on.
    if (text === this.asked) {
      this.show(answer, problem);
    }
  }

  show(answer, problem = '') {
    this.found.hidden = !answer?.items.length;
    this.note.textContent = answer
      ? [
          answer.num_found > answer.items.length
            ? `the first ${format.count(answer.items.length)} of ${format.count(answer.num_found)}`
            : `${format.count(answer.num_found)} found`,
          answer.note,
        ]
          .filter(Boolean)
          .join('. ')
      : problem;
    this.found.replaceChildren();
    if (answer?.items.length) {
      this.found.append(
        table(
          `Items of ${this.label} that were found`,
          [
            ['Item', 'text'],
            ['Where', 'text'],
            ['Worker', 'text'],
            ['Taken', 'number'],
            ['When', 'words'],
          ],
          answer.items.map((item) => [
            name(item.item),
            item.where,
            item.worker ? name(item.worker) : '',
            `${format.count(item.num_takes)}\u00D7`,
            this.takes(item.takes),
          ])
        )
      );
    }
  }

  takes(takes) {
    const lines = takes.slice(0, MAX_TAKES).map((take) => {
      const [worker, start, end, kind, records, trainSecs, waitSecs] = take;
      const parts = [
        TEXT_OF_KIND[kind],
        end === null
          ? `since ${format.moment(start)}`
          : `${format.moment(start)}, ${format.secs(end - start)}`,
        ...format.parts(records, trainSecs, waitSecs),
      ];
      return el('li', {}, name(worker), ` ${parts.join(' \u00B7 ')}`);
    });
    return el('ul', {class: 'takes'}, ...lines);
  }
}
