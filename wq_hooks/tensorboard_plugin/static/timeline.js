// A row for each worker, a bar for each item that it had.

import {xTicks} from './axis.js';
import {el, svg} from './dom.js';
import * as format from './format.js';
import {wordsOf} from './gaps.js';
import {lanesOf} from './lanes.js';

// Height of a bar where a row has so many lanes.
const BAR_OF_LANES = [12, 12, 8, 6, 5, 4, 4, 3, 3];
const PAD = 10;
const LEFT = 110;
const RIGHT = 14;
const TOP = 2;
const BOTTOM = 22;
const BOTTOM_WITH_DAYS = 36;
const MAX_ROWS = 40;
const MAX_LABEL = 20;

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
    this.picture = svg('svg', {class: 'timeline', role: 'img', tabindex: '0'});
    this.legend = el('div', {class: 'legend'});
    this.note = el('p', {class: 'note'});
    this.readout = el('p', {class: 'readout', 'aria-live': 'polite'});
    this.root = el(
      'figure',
      {class: 'timeline-figure'},
      el('figcaption', {}, el('h3', {}, 'Timeline'), this.legend, this.note),
      this.readout,
      this.picture
    );
    const choose = (e) => {
      const place = e.target.dataset?.place;
      this.choose(place === undefined ? null : Number(place));
    };
    this.picture.addEventListener('pointermove', choose);
    this.picture.addEventListener('pointerdown', choose);
    this.picture.addEventListener('pointerleave', (e) => {
      if (e.pointerType !== 'touch') {
        this.choose(null);
      }
    });
    this.picture.addEventListener('blur', () => this.choose(null));
    this.picture.addEventListener('keydown', (e) => this.key(e));
  }

  update(data) {
    this.data = data.timeline;
    this.completed = data.completed;
    this.textOfKind = data.is_live === false
      ? {...format.TEXT_OF_KIND, open: 'in flight at the last write'}
      : format.TEXT_OF_KIND;
    this.draw();
  }

  draw() {
    if (!this.data || !this.root.isConnected) {
      return;
    }
    const {workers, bars, origin} = this.data;
    this.picture.replaceChildren();
    this.legend.replaceChildren();
    this.root.hidden = !bars.length;
    if (!bars.length) {
      return;
    }
    const rows = workers.slice(0, MAX_ROWS);
    const width = Math.max(this.root.clientWidth, 240);
    // By row, then by time, for the arrow keys.
    this.shown = bars
      .filter((bar) => bar[0] < rows.length)
      .sort((a, b) => a[0] - b[0] || a[2] - b[2]);
    const {lanes, numOfRow} = lanesOf(this.shown, rows.length);
    const barOf = (row) => BAR_OF_LANES[numOfRow[row]];
    const tops = [TOP];
    rows.forEach((_, row) => {
      const height = numOfRow[row] * (barOf(row) + 1) + PAD;
      tops.push(tops[row] + height);
    });
    const bottom = tops[rows.length];
    const last = Math.max(...bars.map((bar) => bar[3]), 1);
    const room = width - LEFT - RIGHT;
    const marks = xTicks('time', origin, origin + last, room);
    const height =
      bottom + (marks.some(({day}) => day) ? BOTTOM_WITH_DAYS : BOTTOM);
    this.picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.picture.setAttribute('height', height);
    const x = (time) => LEFT + (time / last) * room;
    this.drawGaps(x, bottom);
    rows.forEach(({name, is_slow: isSlow}, i) => {
      const middle = (tops[i] + tops[i + 1]) / 2;
      const label = svg('text', {
        class: isSlow ? 'row is-slow' : 'row',
        x: LEFT - 8,
        y: middle + 4,
        'text-anchor': 'end',
      });
      this.picture.append(
        label,
        svg('line', {
          class: 'grid',
          x1: LEFT,
          x2: width - RIGHT,
          y1: tops[i + 1],
          y2: tops[i + 1],
        })
      );
      setLabel(label, isSlow ? '\u25C6 ' : '', name);
    });
    this.drawAxis(marks, (time) => x(time - origin), bottom);
    this.nodes = this.shown.map((bar, place) => {
      const size = barOf(bar[0]);
      const top = tops[bar[0]] + PAD / 2 + lanes[place] * (size + 1);
      return this.bar(bar, place, x, top, size);
    });
    this.picture.append(...this.nodes);
    this.describe(rows.length, workers.length);
    this.choose(null);
  }

  describe(numRows, numWorkers) {
    const {bars, origin} = this.data;
    const counts = [];
    for (const [kind, text] of Object.entries(this.textOfKind)) {
      const number = bars.filter((bar) => bar[4] === kind).length;
      if (number) {
        counts.push(`${format.count(number)} ${text}`);
        this.legend.append(
          el(
            'span',
            {class: 'key'},
            el('span', {class: `swatch bar-${kind}`}),
            text
          )
        );
      }
    }
    const first = origin + Math.min(...bars.map((bar) => bar[2]));
    const last = origin + Math.max(...bars.map((bar) => bar[3]));
    this.picture.setAttribute(
      'aria-label',
      `Timeline. Items of ${format.count(numWorkers)} workers from ` +
        `${format.date(first)} to ${format.date(last)}: ${counts.join(', ')}. ` +
        'Arrow keys move through the items.'
    );
    const ended = bars.filter((bar) => bar[4] === 'done' || bar[4] === 'again');
    this.note.textContent = [
      ended.length < this.completed
        ? `the last ${format.count(ended.length)} of ${format.count(this.completed)} items, sampled`
        : '',
      numRows < numWorkers
        ? `${numRows} of ${format.count(numWorkers)} workers, the slow ones first`
        : '',
    ]
      .filter(Boolean)
      .join('; ');
  }

  drawGaps(x, bottom) {
    for (const gap of this.data.gaps) {
      const [from, to] = [Math.max(x(gap[0]), LEFT), x(gap[1])];
      if (to > from) {
        this.picture.append(
          svg(
            'rect',
            {class: 'gap', x: from, y: TOP, width: to - from, height: bottom - TOP},
            svg('title', {}, wordsOf(gap))
          )
        );
      }
    }
  }

  drawAxis(marks, x, bottom) {
    for (const {value, text, day} of marks) {
      const at = x(value);
      this.picture.append(
        svg('line', {class: 'axis-line', x1: at, x2: at, y1: bottom, y2: bottom + 4}),
        svg('text', {class: 'tick', x: at, y: bottom + 16, 'text-anchor': 'middle'}, text)
      );
      if (day) {
        this.picture.append(
          svg(
            'text',
            {class: 'tick day', x: at, y: bottom + 29, 'text-anchor': 'middle'},
            day
          )
        );
      }
    }
  }

  bar([, , start, end, kind], place, x, top, height) {
    if (kind === 'repeat') {
      const [cx, cy] = [x(end), top + height / 2];
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
      // The surface is seen between one bar and the next.
      width: Math.max(x(end) - x(start) - 1, 1.5),
      height,
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
    const [row, text, start, end, kind, records, trainSecs, waitSecs] = bar;
    this.readout.textContent = [
      `\u2068${this.data.workers[row].name}\u2069`,
      `\u2068${text}\u2069`,
      this.textOfKind[kind],
      `${format.secs(end - start)} from ${format.date(this.data.origin + start)}`,
      ...format.parts(records, trainSecs, waitSecs),
    ].join(' \u00B7 ');
  }
}
