// A row for each worker, a bar for each item that it had.

import {el, svg} from './dom.js';
import * as format from './format.js';

const ROW = 18;
const BAR = 12;
const LEFT = 110;
const RIGHT = 14;
const BOTTOM = 22;
const MAX_ROWS = 40;
const MAX_LABEL = 20;
const TEXT_OF_KIND = {
  done: 'completed',
  open: 'in flight',
  again: 'completed on a further try',
  lost: 'lost with its holder',
  given_up: 'given up',
  repeat: 'taken twice',
};

// Sets as much of a name as there is room for.
function setLabel(label, sign, name) {
  for (let size = Math.min(name.length, MAX_LABEL); size > 0; size--) {
    const short = size < name.length ? `${name.slice(0, size)}\u2026` : name;
    // Isolated, as `bdi` would.
    label.textContent = `${sign}\u2068${short}\u2069`;
    if (label.getComputedTextLength() <= LEFT - 12) {
      break;
    }
  }
  label.append(svg('title', {}, name));
}

export class Timeline {
  constructor() {
    this.data = null;
    this.chosen = null;
    this.picture = svg('svg', {
      class: 'timeline',
      role: 'img',
      tabindex: '0',
      'aria-label': 'Items by worker. Arrow keys move through the bars.',
    });
    this.legend = el('div', {class: 'legend'});
    this.note = el('p', {class: 'note'});
    this.readout = el('p', {class: 'readout', 'aria-live': 'polite'});
    this.root = el(
      'figure',
      {class: 'timeline-figure'},
      el('figcaption', {}, 'Timeline', this.legend, this.note),
      this.picture,
      this.readout
    );
    this.picture.addEventListener('pointermove', (e) => {
      const place = e.target.dataset?.place;
      this.choose(place === undefined ? null : Number(place));
    });
    this.picture.addEventListener('pointerleave', () => this.choose(null));
    this.picture.addEventListener('blur', () => this.choose(null));
    this.picture.addEventListener('keydown', (e) => this.key(e));
  }

  update(data) {
    this.data = data.timeline;
    this.completed = data.completed;
    this.draw();
  }

  draw() {
    if (!this.data || !this.root.isConnected) {
      return;
    }
    const {workers, bars, origin} = this.data;
    const rows = workers.slice(0, MAX_ROWS);
    const width = Math.max(this.root.clientWidth, 240);
    const height = rows.length * ROW + BOTTOM + 4;
    this.picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.picture.setAttribute('height', height);
    this.picture.replaceChildren();
    this.legend.replaceChildren();
    this.root.hidden = !bars.length;
    if (!bars.length) {
      return;
    }
    // By row, then by time, for the arrow keys.
    this.shown = bars
      .filter((bar) => bar[0] < rows.length)
      .sort((a, b) => a[0] - b[0] || a[2] - b[2]);
    const last = Math.max(...bars.map((bar) => bar[3]), 1);
    const room = width - LEFT - RIGHT;
    const x = (time) => LEFT + (time / last) * room;
    rows.forEach(({name, is_slow: isSlow}, i) => {
      const middle = i * ROW + ROW / 2 + 2;
      const label = svg('text', {
        class: isSlow ? 'row is-slow' : 'row',
        x: LEFT - 8,
        y: middle + 4,
        'text-anchor': 'end',
      });
      this.picture.append(
        label,
        svg('line', {class: 'grid', x1: LEFT, x2: width - RIGHT, y1: middle, y2: middle})
      );
      setLabel(label, isSlow ? '\u25C6 ' : '', name);
    });
    this.drawAxis(x, origin, last, height, room);
    this.nodes = this.shown.map((bar, place) => this.bar(bar, place, x));
    this.picture.append(...this.nodes);
    for (const kind of Object.keys(TEXT_OF_KIND)) {
      if (bars.some((bar) => bar[4] === kind)) {
        this.legend.append(
          el(
            'span',
            {class: 'key'},
            el('span', {class: `swatch bar-${kind}`}),
            TEXT_OF_KIND[kind]
          )
        );
      }
    }
    const ended = bars.filter((bar) => bar[4] === 'done' || bar[4] === 'again');
    this.note.textContent = [
      ended.length < this.completed
        ? `the last ${format.count(ended.length)} of ${format.count(this.completed)} items, sampled`
        : '',
      rows.length < workers.length
        ? `${rows.length} of ${format.count(workers.length)} workers, the slow ones first`
        : '',
    ]
      .filter(Boolean)
      .join('; ');
    this.choose(null);
  }

  drawAxis(x, origin, last, height, room) {
    const number = Math.max(Math.floor(room / 140), 1);
    for (let i = 0; i <= number; i++) {
      const time = (last * i) / number;
      this.picture.append(
        svg(
          'text',
          {
            class: 'tick',
            x: x(time),
            y: height - 5,
            'text-anchor': i === 0 ? 'start' : i === number ? 'end' : 'middle',
          },
          format.moment(origin + time, last)
        )
      );
    }
  }

  bar([row, , start, end, kind], place, x) {
    const top = row * ROW + (ROW - BAR) / 2 + 2;
    if (kind === 'repeat') {
      const [cx, cy] = [x(end), top + BAR / 2];
      return svg('path', {
        class: 'bar bar-repeat',
        d: `M${cx} ${cy - 5}l5 5l-5 5l-5 -5z`,
        'data-place': place,
      });
    }
    return svg('rect', {
      class: `bar bar-${kind}`,
      x: x(start),
      y: top,
      width: Math.max(x(end) - x(start) - 1, 1.5),
      height: BAR,
      rx: 2,
      'data-place': place,
    });
  }

  key(event) {
    const last = (this.shown?.length ?? 0) - 1;
    const place = this.chosen ?? -1;
    const rowOf = (i) => this.shown[i]?.[0];
    const inRow = (row) => this.shown.findIndex((bar) => bar[0] === row);
    const moves = {
      ArrowRight: () => Math.min(place + 1, last),
      ArrowLeft: () => Math.max(place - 1, 0),
      ArrowDown: () => {
        const to = this.shown.findIndex((bar) => bar[0] > (rowOf(place) ?? -1));
        return to < 0 ? place : to;
      },
      ArrowUp: () => {
        const above = this.shown.filter((bar) => bar[0] < (rowOf(place) ?? 0));
        return above.length ? inRow(above[above.length - 1][0]) : place;
      },
      Home: () => 0,
      End: () => last,
      Escape: () => null,
    };
    if (last < 0 || !moves[event.key]) {
      return;
    }
    event.preventDefault();
    const to = moves[event.key]();
    this.choose(to === -1 ? 0 : to);
  }

  choose(place) {
    if (this.chosen !== null) {
      this.nodes?.[this.chosen]?.classList.remove('is-chosen');
    }
    this.chosen = place;
    const bar = place === null ? undefined : this.shown?.[place];
    if (!bar) {
      this.chosen = null;
      this.readout.textContent = '';
      return;
    }
    this.nodes[place].classList.add('is-chosen');
    const [row, text, start, end, kind] = bar;
    this.readout.textContent = [
      `\u2068${this.data.workers[row].name}\u2069`,
      `\u2068${text}\u2069`,
      TEXT_OF_KIND[kind],
      `${format.secs(end - start)} from ${format.date(this.data.origin + start)}`,
    ].join(' \u00B7 ');
  }
}
