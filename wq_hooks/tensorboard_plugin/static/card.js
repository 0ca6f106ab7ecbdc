// The card of one queue of one run.

import {name, el} from './dom.js';
import {EventList} from './events.js';
import * as format from './format.js';
import {fetchJson} from './host.js';
import {Items} from './items.js';
import {LevelChart} from './level_chart.js';
import {RateChart} from './rate_chart.js';
import {tiles} from './tiles.js';
import {Timeline} from './timeline.js';
import {WorkersTable} from './workers_table.js';

const SIGN_OF_STATUS = {
  done: '\u2713',
  draining: '\u25BD',
  ok: '\u25B6',
  straggler: '\u25C6',
  stalled: '\u25A0',
  'no data': '?',
};

export class Card {
  constructor(run, queue, {axis, sort, onSort}) {
    const label = `queue ${queue} of run ${run}`;
    this.url = `./card?${new URLSearchParams({run, queue})}`;
    this.data = null;
    this.chip = el('span', {class: 'chip'});
    this.verdict = el('p', {class: 'verdict', 'aria-live': 'polite'});
    this.updated = el('p', {class: 'updated'});
    this.error = el('p', {class: 'error', role: 'alert', hidden: true});
    this.advice = el('ul', {class: 'advice', hidden: true});
    this.tiles = el('dl', {class: 'tiles'});
    this.level = new LevelChart(axis);
    this.rate = new RateChart(axis);
    this.level.onCursor = (place) => this.rate.setCursor(place);
    this.rate.onCursor = (place) => this.level.setCursor(place);
    this.workers = new WorkersTable(label, sort, onSort);
    this.timeline = new Timeline();
    this.events = new EventList(label);
    this.items = new Items(run, queue, label);
    this.body = el(
      'div',
      {class: 'body', hidden: true},
      this.tiles,
      el('div', {class: 'charts'}, this.level.root, this.rate.root),
      el('div', {class: 'main'}, this.workers.root, this.timeline.root),
      el('div', {class: 'lists'}, this.events.root, this.items.root)
    );
    this.root = el(
      'section',
      {class: 'card', 'aria-label': `Queue ${queue} of run ${run}`},
      el(
        'div',
        {class: 'head'},
        this.chip,
        el('h2', {}, name(queue), ' ', el('span', {class: 'run'}, name(run))),
        this.updated
      ),
      this.verdict,
      this.advice,
      this.error,
      this.body
    );
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.root);
  }

  // Returns whether there is something new to show.
  async load() {
    try {
      this.data = await fetchJson(this.url);
    } catch (error) {
      this.error.hidden = false;
      this.error.textContent = `Not up to date: ${error.message}`;
      return false;
    }
    this.error.hidden = true;
    return true;
  }

  // `units`: of the rates, {items, records}.
  update(units) {
    const {data} = this;
    this.body.hidden = false;
    this.root.dataset.status = data.status;
    this.chip.className = `chip ${data.status.replace(' ', '-')}`;
    this.chip.textContent = `${SIGN_OF_STATUS[data.status] ?? ''} ${data.status}`;
    this.verdict.textContent = data.verdict;
    this.showAdvice(data.advice);
    const ago = Math.max(data.now - data.time, 0);
    this.updated.textContent =
      data.is_live === false
        ? `last written ${format.moment(data.time)}, step ${format.count(data.step)}`
        : `step ${format.count(data.step)}, ${format.secs(ago)} ago`;
    this.updated.title = format.date(data.time);
    this.tiles.replaceChildren(...tiles(data, units));
    this.level.update(data);
    this.rate.update(data, units);
    this.workers.update(data, units);
    this.timeline.update(data);
    this.events.update(data);
    this.items.update(data);
  }

  showAdvice(advice) {
    this.advice.hidden = !advice.length;
    this.advice.replaceChildren(
      ...advice.map(({what, text, set}) =>
        el(
          'li',
          {'data-advice': what},
          text,
          set && !text.includes(set) ? el('code', {}, set) : null
        )
      )
    );
  }

  setAxis(axis) {
    this.level.setAxis(axis);
    this.rate.setAxis(axis);
  }

  setSort(sort) {
    this.workers.setSort(sort);
  }

  resize() {
    const width = this.root.clientWidth;
    if (width > 0 && width !== this.width) {
      this.width = width;
      this.level.draw();
      this.rate.draw();
      this.timeline.draw();
    }
  }

  remove() {
    this.observer.disconnect();
    this.root.remove();
  }
}
