// What the two charts have in common: frame, axes, cursor, keyboard.
//
// A chart has one or more panels above each other over one horizontal axis.

import {el, svg} from './dom.js';
import * as format from './format.js';

const LEFT = 52;
const RIGHT = 14;
const TOP = 8;
const BOTTOM = 22;
const GAP = 14;

// Round values from 0 up to at least `top`, some four of them.
export function ticks(top, isWhole = false) {
  if (!(top > 0)) {
    return [0, 1];
  }
  const raw = top / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = [1, 2, 2.5, 5, 10].find((f) => f * power >= raw) * power;
  if (isWhole) {
    step = Math.max(1, Math.round(step));
  }
  const values = [];
  for (let i = 0; (i - 1) * step < top; i++) {
    values.push(i * step);
  }
  return values;
}

const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600,
  43200, 86400, 172800, 604800,
];

function xTicks(axis, first, last, room) {
  const span = last - first;
  if (!(span > 0)) {
    return [first];
  }
  const wanted = span / Math.max(room / 110, 2);
  if (axis === 'time') {
    const step =
      TIME_STEPS.find((s) => s >= wanted) ?? Math.ceil(wanted / 604800) * 604800;
    const shift = new Date(first * 1000).getTimezoneOffset() * 60;
    const values = [];
    let value = Math.ceil((first - shift) / step) * step + shift;
    for (; value <= last; value += step) {
      values.push(value);
    }
    return values;
  }
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = Math.max(
    1,
    [1, 2, 5, 10].find((f) => f * power >= wanted) * power
  );
  const values = [];
  for (let v = Math.ceil(first / step) * step; v <= last; v += step) {
    values.push(v);
  }
  return values;
}

export class Chart {
  constructor(axis, {title, panels}) {
    this.axis = axis;
    this.panels = panels;
    this.data = null;
    this.cursor = null;
    this.onCursor = () => {};
    this.picture = svg('svg', {
      class: 'chart',
      role: 'img',
      tabindex: '0',
      'aria-label': `${title}. Arrow keys move through the points.`,
    });
    this.legend = el('div', {class: 'legend'});
    this.readout = el('p', {class: 'readout', 'aria-live': 'polite'});
    this.root = el(
      'figure',
      {},
      el('figcaption', {}, title, this.legend),
      this.picture,
      this.readout
    );
    this.picture.addEventListener('pointermove', (e) => this.point(e));
    this.picture.addEventListener('pointerleave', () => this.move(null));
    this.picture.addEventListener('keydown', (e) => this.key(e));
    this.picture.addEventListener('blur', () => this.move(null));
  }

  setAxis(axis) {
    this.axis = axis;
    this.draw();
  }

  update(data) {
    this.data = data;
    this.draw();
  }

  get xs() {
    return this.data.series[this.axis] ?? [];
  }

  // Draws all anew; sets `this.x`, a function from values to pixels.
  draw() {
    if (!this.data || !this.root.isConnected) {
      return;
    }
    const width = Math.max(this.root.clientWidth, 240);
    const height =
      TOP +
      BOTTOM +
      GAP * (this.panels.length - 1) +
      this.panels.reduce((sum, panel) => sum + panel.height, 0);
    this.picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.picture.setAttribute('height', height);
    this.picture.replaceChildren();
    this.legend.replaceChildren();
    const xs = this.xs;
    if (!xs.length) {
      this.picture.append(
        svg('text', {x: LEFT, y: TOP + 20, class: 'tick'}, 'No points yet')
      );
      return;
    }
    const first = Math.min(...xs);
    const last = Math.max(...xs);
    const room = width - LEFT - RIGHT;
    this.x = (value) =>
      LEFT + (last > first ? ((value - first) / (last - first)) * room : room / 2);
    let top = TOP;
    for (const panel of this.panels) {
      this.drawPanel(panel, top, width);
      top += panel.height + GAP;
    }
    this.drawXAxis(first, last, room, height);
    this.line = svg('line', {
      class: 'cursor',
      y1: TOP,
      y2: height - BOTTOM,
      visibility: 'hidden',
    });
    this.picture.append(this.line);
    this.setCursor(this.cursor);
  }

  drawPanel(panel, top, width) {
    const highest = panel.highest(this.data.series, this.data);
    const values = ticks(highest, panel.isWhole);
    const limit = values[values.length - 1];
    const y = (value) => top + panel.height * (1 - value / limit);
    for (const value of values) {
      this.picture.append(
        svg('line', {
          class: value === 0 ? 'axis-line' : 'grid',
          x1: LEFT,
          x2: width - RIGHT,
          y1: y(value),
          y2: y(value),
        }),
        svg(
          'text',
          {class: 'tick', x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end'},
          panel.tick(value)
        )
      );
    }
    panel.draw(this, {y, top, bottom: top + panel.height});
  }

  drawXAxis(first, last, room, height) {
    for (const value of xTicks(this.axis, first, last, room)) {
      const text =
        this.axis === 'time'
          ? format.moment(value, last - first)
          : format.number(value);
      const x = this.x(value);
      this.picture.append(
        svg('line', {
          class: 'axis-line',
          x1: x,
          x2: x,
          y1: height - BOTTOM,
          y2: height - BOTTOM + 4,
        }),
        svg(
          'text',
          {class: 'tick', x, y: height - 5, 'text-anchor': 'middle'},
          text
        )
      );
    }
  }

  // "M x y L x y ..." of a column; lifts the pen where nothing was written.
  path(column, y) {
    let path = '';
    let isDown = false;
    column.forEach((value, i) => {
      if (value === null) {
        isDown = false;
        return;
      }
      path += `${isDown ? 'L' : 'M'}${this.x(this.xs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = true;
    });
    return path;
  }

  // The area between two columns.
  area(lower, upper, y) {
    const there = this.xs.map((_, i) => i).filter((i) => upper[i] !== null);
    if (!there.length) {
      return '';
    }
    const corner = (i, column) =>
      `${this.x(this.xs[i]).toFixed(1)} ${y(column[i] ?? 0).toFixed(1)}`;
    const there2 = [...there].reverse();
    return (
      `M${there.map((i) => corner(i, upper)).join('L')}` +
      `L${there2.map((i) => corner(i, lower)).join('L')}Z`
    );
  }

  addLegend(kind, text) {
    this.legend.append(
      el('span', {class: 'key'}, el('span', {class: `swatch ${kind}`}), text)
    );
  }

  point(event) {
    if (!this.data || !this.xs.length) {
      return;
    }
    const box = this.picture.getBoundingClientRect();
    const at = event.clientX - box.left;
    let best = 0;
    this.xs.forEach((value, i) => {
      if (Math.abs(this.x(value) - at) < Math.abs(this.x(this.xs[best]) - at)) {
        best = i;
      }
    });
    this.move(best);
  }

  key(event) {
    const last = this.xs.length - 1;
    const place = this.cursor ?? last + 1;
    const to = {
      ArrowLeft: Math.max(place - 1, 0),
      ArrowRight: Math.min(place + 1, last),
      Home: 0,
      End: last,
      Escape: null,
    }[event.key];
    if (to === undefined || last < 0) {
      return;
    }
    event.preventDefault();
    this.move(to);
  }

  move(place) {
    this.setCursor(place);
    this.onCursor(place);
  }

  setCursor(place) {
    this.cursor = place;
    if (!this.line) {
      return;
    }
    const value = place === null ? undefined : this.xs[place];
    if (value === undefined) {
      this.line.setAttribute('visibility', 'hidden');
      this.readout.textContent = '';
      return;
    }
    const x = this.x(value);
    this.line.setAttribute('x1', x);
    this.line.setAttribute('x2', x);
    this.line.setAttribute('visibility', 'visible');
    const {series} = this.data;
    const when = `${format.date(series.time[place])}, step ${format.count(series.step[place])}`;
    this.readout.textContent = [when, ...this.read(place)].join(' \u00B7 ');
  }
}
