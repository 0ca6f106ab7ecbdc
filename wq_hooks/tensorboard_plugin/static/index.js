// The tab "Work Queue": one card for each run and queue.

import {Card} from './card.js';
import {Choice} from './choice.js';
import {el} from './dom.js';
import * as format from './format.js';
import {connect, fetchJson, followTheme, nameFrame} from './host.js';
import {OverlayChart} from './overlay_chart.js';

const MAX_CARDS = 8;

class Page {
  constructor(root) {
    this.cards = new Map();
    this.queues = [];
    this.units = {items: format.UNITS[0], records: format.UNITS[0]};
    this.isStale = false;
    this.isLoading = false;
    this.numWorks = 0;
    this.choice = new Choice({
      onQueues: () => this.choose(),
      onAxis: (axis) => this.cards.forEach((card) => card.setAxis(axis)),
      onSort: (sort) => this.cards.forEach((card) => card.setSort(sort)),
    });
    this.status = el('p', {class: 'status', role: 'status'}, 'Reading the log \u2026');
    this.empty = el('p', {class: 'empty', hidden: true});
    this.overlay = new OverlayChart();
    this.body = el('div', {class: 'cards'});
    const toolbar = el(
      'header',
      {class: 'toolbar'},
      el('h1', {}, 'Work Queue'),
      ...this.choice.controls,
      el('button', {type: 'button', id: 'reload', click: () => this.load()}, 'Reload'),
      this.status
    );
    this.main = el('main', {}, this.empty, this.overlay.root, this.body);
    root.append(toolbar, this.main);
    document.addEventListener('visibilitychange', () => this.seen());
    // Another tab of TensorBoard hides the frame, not the document.
    new ResizeObserver(() => this.seen()).observe(root);
    new ResizeObserver(() => {
      root.style.setProperty('--toolbar', `${toolbar.offsetHeight}px`);
      this.overlay.draw();
    }).observe(toolbar);
  }

  isVisible() {
    return !document.hidden && document.documentElement.clientWidth > 0;
  }

  seen() {
    if (this.isVisible()) {
      this.choice.write();
      if (this.isStale) {
        this.load();
      }
    }
  }

  reloaded() {
    if (this.isVisible()) {
      this.load();
    } else {
      this.isStale = true;
    }
  }

  load() {
    if (this.isLoading) {
      this.isStale = true;
      return Promise.resolve();
    }
    return this.work(async () => {
      this.isLoading = true;
      try {
        do {
          this.isStale = false;
          this.queues = await fetchJson('./queues');
          await this.show();
        } while (this.isStale);
      } finally {
        this.isLoading = false;
      }
    });
  }

  choose() {
    return this.work(() => this.show());
  }

  // Does what takes a while; several may go on at a time.
  async work(what) {
    this.numWorks++;
    this.main.setAttribute('aria-busy', 'true');
    try {
      await what();
    } catch (error) {
      this.status.textContent = `Not up to date: ${error.message}`;
    } finally {
      this.numWorks--;
      this.main.setAttribute('aria-busy', String(this.numWorks > 0));
    }
  }

  async show() {
    this.choice.offer(this.queues);
    this.choice.write();
    const chosen = this.choice.chosen(this.queues);
    const shown = chosen.slice(0, MAX_CARDS);
    const keys = shown.map(({run, queue}) => JSON.stringify([run, queue]));
    for (const [key, card] of this.cards) {
      if (!keys.includes(key)) {
        card.remove();
        this.cards.delete(key);
      }
    }
    shown.forEach(({run, queue}, i) => {
      if (!this.cards.has(keys[i])) {
        this.cards.set(keys[i], new Card(run, queue, this.choice.ofCards()));
      }
      const root = this.cards.get(keys[i]).root;
      if (this.body.children[i] !== root) {
        this.body.insertBefore(root, this.body.children[i] ?? null);
      }
    });
    this.status.textContent =
      chosen.length > shown.length
        ? `The ${shown.length} latest of ${chosen.length} queues; choose a run to see others.`
        : '';
    this.empty.textContent = this.choice.whyEmpty(this.queues);
    this.empty.hidden = !this.empty.textContent;
    await Promise.all(
      keys.map(async (key) => {
        const card = this.cards.get(key);
        if (await card.load()) {
          this.settle(card);
        }
      })
    );
    const all = [...this.cards.values()].map(({data}) => data);
    this.overlay.show(all.filter(Boolean));
  }

  // Shows a card, in one unit with the others.
  settle(card) {
    const loaded = [...this.cards.values()].filter(({data}) => data);
    const rates = (key) => loaded.map(({data}) => data[key]);
    const units = {
      items: format.unitFor(rates('recent_items_per_sec')),
      records: format.unitFor(rates('recent_records_per_sec')),
    };
    const isNew =
      units.items !== this.units.items || units.records !== this.units.records;
    this.units = units;
    (isNew ? loaded : [card]).forEach((one) => one.update(units));
  }
}

export async function render() {
  document.head.append(el('link', {rel: 'stylesheet', href: './style.css'}));
  nameFrame('Work Queue');
  followTheme();
  const root = el('div', {id: 'work-queue'});
  document.body.append(root);
  const page = new Page(root);
  connect(() => page.reloaded());
  await page.load();
}
