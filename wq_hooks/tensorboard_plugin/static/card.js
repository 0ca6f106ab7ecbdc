// The card of one queue of one run.

import {name, el} from './dom.js';
import * as format from './format.js';
import {fetchJson} from './host.js';
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
  constructor(run, queue, axis) {
    this.url = `./card?${new URLSearchParams({run, queue})}`;
    this.chip = el('span', {class: 'chip'});
    this.verdict = el('p', {class: 'verdict', 'aria-live': 'polite'});
    this.updated = el('p', {class: 'updated'});
    this.error = el('p', {class: 'error', role: 'alert', hidden: true});
    this.tiles = el('dl', {class: 'tiles'});
    this.level = new LevelChart(axis);
    this.rate = new RateChart(axis);
    this.level.onCursor = (place) => this.rate.setCursor(place);
    this.rate.onCursor = (place) => this.level.setCursor(place);
    this.workers = new WorkersTable();
    this.timeline = new Timeline();
    this.body = el(
      'div',
      {class: 'body', hidden: true},
      this.tiles,
      el('div', {class: 'charts'}, this.level.root, this.rate.root),
      this.workers.root,
      this.timeline.root
    );
    this.root = el(
      'section',
      {class: 'card', 'aria-label': `Queue ${queue} of run ${run}`},
      el(
        'div',
        {class: 'head'},
        this.chip,
        el('h2', {}, name(queue), el('span', {class: 'run'}, name(run))),
        this.updated
      ),
      this.verdict,
      this.error,
      this.body
    );
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.root);
  }

  async load() {
    let data;
    try {
      data = await fetchJson(this.url);
    } catch (error) {
      this.error.hidden = false;
      this.error.textContent = `Not up to date: ${error.message}`;
      return;
    }
    this.error.hidden = true;
    this.body.hidden = false;
    this.update(data);
  }

  update(data) {
    this.root.dataset.status = data.status;
    this.chip.className = `chip ${data.status.replace(' ', '-')}`;
    this.chip.textContent = `${SIGN_OF_STATUS[data.status] ?? ''} ${data.status}`;
    this.verdict.textContent = data.verdict;
    const ago = Math.max(data.now - data.time, 0);
    this.updated.textContent = `step ${format.count(data.step)}, ${format.secs(ago)} ago`;
    this.updated.title = format.date(data.time);
    this.tiles.replaceChildren(...tiles(data));
    this.level.update(data);
    this.rate.update(data);
    this.workers.update(data);
    this.timeline.update(data);
  }

  setAxis(axis) {
    this.level.setAxis(axis);
    this.rate.setAxis(axis);
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
