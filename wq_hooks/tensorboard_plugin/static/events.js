// What has happened: rows of a list, marks on the charts.

import {el, name, scrolled} from './dom.js';
import * as format from './format.js';

// The tone of a mark on the charts; what has none is only in the list.
const TONES = {
  lost: 'bad',
  missing: 'bad',
  'given up': 'bad',
  resumed: 'good',
  back: 'good',
  changed: 'neutral',
};
const COLUMNS = [
  {
    text: 'Time',
    cell: ({time, step}) => {
      const at = step === null ? '' : `, step ${format.count(step)}`;
      return el('time', {title: `${format.date(time)}${at}`}, format.moment(time));
    },
  },
  {
    text: 'What',
    cell: (event) =>
      el('span', {class: `what ${toneOf(event) ?? ''}`}, event.what),
  },
  {text: 'Who', key: 'who', cell: ({who}) => (who ? name(who) : '')},
  {text: 'Item', key: 'item', cell: ({item}) => (item ? name(item) : '')},
  {text: 'In words', kind: 'words', cell: ({text}) => text},
];
const ALL = '';

export function toneOf(event) {
  return TONES[event.what];
}

export class EventList {
  constructor(label) {
    this.data = null;
    this.rows = el('tbody');
    this.note = el('p', {class: 'note', role: 'status'});
    this.find = el('input', {
      type: 'search',
      placeholder: 'Filter',
      'aria-label': 'Filter events by a word',
      input: () => this.draw(),
    });
    this.what = el('select', {
      'aria-label': 'Filter events by their kind',
      change: () => this.draw(),
    });
    this.heads = el('tr');
    this.root = el(
      'div',
      {class: 'events'},
      el('div', {class: 'title'}, el('h3', {}, 'Events'), this.find, this.what, this.note),
      scrolled(`Events of ${label}`, this.heads, this.rows)
    );
  }

  update(data) {
    this.data = data;
    const kinds = [...new Set(data.events.map((event) => event.what))];
    const chosen = this.what.value;
    this.what.replaceChildren(
      el('option', {value: ALL}, 'all kinds'),
      ...kinds.sort().map((kind) => el('option', {value: kind}, kind))
    );
    this.what.value = kinds.includes(chosen) ? chosen : ALL;
    this.draw();
  }

  draw() {
    const {events} = this.data;
    const word = this.find.value.toLowerCase();
    const shown = events.filter(
      (event) =>
        (this.what.value === ALL || event.what === this.what.value) &&
        [event.what, event.who, event.item, event.text].some((text) =>
          text.toLowerCase().includes(word)
        )
    );
    this.root.hidden = !events.length;
    // Without those that nothing is in.
    const columns = COLUMNS.filter(
      ({key}) => !key || events.some((event) => event[key])
    );
    this.heads.replaceChildren(
      ...columns.map(({text}) => el('th', {scope: 'col'}, text))
    );
    this.rows.replaceChildren(...shown.map((event) => this.row(event, columns)));
    const total = this.data.num_events;
    this.note.textContent =
      shown.length < total
        ? `${format.count(shown.length)} of ${format.count(total)}, newest first`
        : `${format.count(total)}, newest first`;
  }

  row(event, columns) {
    return el(
      'tr',
      {'data-what': event.what},
      ...columns.map(({kind, cell}) => el('td', {class: kind ?? 'text'}, cell(event)))
    );
  }
}
