// The tab "Work Queue": one card for each run and queue.

import {Card} from './card.js';
import {el} from './dom.js';
import {connect, fetchJson, followTheme, wishes} from './host.js';

const MAX_CARDS = 8;
const ALL = '';

class Page {
  constructor(root) {
    this.cards = new Map();
    this.queues = [];
    this.axis = 'time';
    this.isStale = false;
    this.isLoading = false;
    this.wished = wishes();
    this.run = el('select', {id: 'run', change: () => this.choose()});
    this.queue = el('select', {id: 'queue', change: () => this.choose()});
    this.status = el('p', {class: 'status', role: 'status'});
    this.body = el('main', {class: 'cards'});
    root.append(
      el(
        'header',
        {class: 'toolbar'},
        el('label', {}, 'Run ', this.run),
        el('label', {}, 'Queue ', this.queue),
        this.axisChoice(),
        el(
          'button',
          {type: 'button', id: 'reload', click: () => this.load()},
          'Reload'
        ),
        this.status
      ),
      this.body
    );
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.isStale) {
        this.load();
      }
    });
    // Another tab of TensorBoard hides the frame, not the document.
    new ResizeObserver(() => {
      if (this.isVisible() && this.isStale) {
        this.load();
      }
    }).observe(root);
  }

  axisChoice() {
    const choice = (value, text) =>
      el(
        'label',
        {},
        el('input', {
          type: 'radio',
          name: 'axis',
          value,
          checked: value === this.axis,
          change: () => this.setAxis(value),
        }),
        text
      );
    return el(
      'fieldset',
      {class: 'axis'},
      el('legend', {}, 'X axis'),
      choice('time', 'Time'),
      choice('step', 'Step')
    );
  }

  setAxis(axis) {
    this.axis = axis;
    for (const card of this.cards.values()) {
      card.setAxis(axis);
    }
  }

  isVisible() {
    return !document.hidden && document.documentElement.clientWidth > 0;
  }

  reloaded() {
    if (this.isVisible()) {
      this.load();
    } else {
      this.isStale = true;
    }
  }

  async load() {
    if (this.isLoading) {
      this.isStale = true;
      return;
    }
    this.isLoading = true;
    try {
      do {
        this.isStale = false;
        this.queues = await fetchJson('./queues');
        this.fillChoices();
        await this.show();
      } while (this.isStale);
    } catch (error) {
      this.status.textContent = `Not up to date: ${error.message}`;
    } finally {
      this.isLoading = false;
    }
  }

  fillChoices() {
    const fill = (select, what, key) => {
      const names = [...new Set(this.queues.map((queue) => queue[key]))];
      const wished = this.wished[key] ?? select.value;
      select.replaceChildren(
        el('option', {value: ALL}, `All ${what} (${names.length})`),
        ...names.map((name) => el('option', {value: name}, name))
      );
      select.value = names.includes(wished) ? wished : ALL;
      delete this.wished[key];
    };
    fill(this.run, 'runs', 'run');
    fill(this.queue, 'queues', 'queue');
  }

  async choose() {
    try {
      await this.show();
    } catch (error) {
      this.status.textContent = `Not up to date: ${error.message}`;
    }
  }

  async show() {
    const chosen = this.queues.filter(
      ({run, queue}) =>
        (this.run.value === ALL || run === this.run.value) &&
        (this.queue.value === ALL || queue === this.queue.value)
    );
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
        const card = new Card(run, queue, this.axis);
        this.cards.set(keys[i], card);
      }
      const root = this.cards.get(keys[i]).root;
      if (this.body.children[i] !== root) {
        this.body.insertBefore(root, this.body.children[i] ?? null);
      }
    });
    this.status.textContent = this.queues.length
      ? chosen.length > shown.length
        ? `The ${shown.length} latest of ${chosen.length} queues; choose a run to see others.`
        : ''
      : 'No queue has written to this log yet.';
    await Promise.all(keys.map((key) => this.cards.get(key).load()));
    document.documentElement.dataset.ready = String(
      Number(document.documentElement.dataset.ready ?? 0) + 1
    );
  }
}

export async function render() {
  document.head.append(el('link', {rel: 'stylesheet', href: './style.css'}));
  followTheme();
  const root = el('div', {id: 'work-queue'});
  document.body.append(root);
  const page = new Page(root);
  connect(() => page.reloaded());
  await page.load();
}
