// What the charts have in common: frame, axes, gaps, marks of events, cursor,
// keyboard.
//
// A chart has one or more panels above each other over one horizontal axis.
// Where nothing was written it draws no line: see gaps.js.

import {ticks, xTicks} from './axis.js';
import {el, svg} from './dom.js';
import {toneOf} from './events.js';
import * as format from './format.js';
import {cutsOf, wordsOf} from './gaps.js';

const LEFT = 52;
const RIGHT = 14;
// Marks of events and names of epochs stand above the curves.
const TOP = 26;
const BOTTOM = 22;
const BOTTOM_WITH_DAYS = 36;
const GAP = 14;
const ROOM_OF_MARK = 9;
const ROOM_OF_GAP_TEXT = 150;

export class Chart {
  constructor(axis, {title, panels, heading = 'h3'}) {
    this.axis = axis;
    this.title = title;
    this.panels = panels;
    this.data = null;
    this.cursor = null;
    this.onCursor = () => {};
    this.picture = svg('svg', {class: 'chart', role: 'img', tabindex: '0'});
    this.legend = el('div', {class: 'legend'});
    this.readout = el('p', {class: 'readout', 'aria-live': 'polite'});
    this.root = el(
      'figure',
      {},
      el('figcaption', {}, el(heading, {}, title), this.legend),
      this.picture,
      this.readout
    );
    this.picture.addEventListener('pointermove', (e) => this.point(e));
    this.picture.addEventListener('pointerdown', (e) => this.point(e));
    this.picture.addEventListener('pointerleave', (e) => {
      // A finger that is lifted has not gone elsewhere.
      if (e.pointerType !== 'touch') {
        this.move(null);
      }
    });
    this.picture.addEventListener('keydown', (e) => this.key(e));
    this.picture.addEventListener('blur', () => this.move(null));
  }

  setAxis(axis) {
    this.axis = axis;
    this.draw();
  }

  update(data) {
    this.data = data;
    this.cuts = cutsOf(data.series.time ?? [], data.gaps);
    this.draw();
  }

  get xs() {
    return this.data.series[this.axis] ?? [];
  }

  // One sentence for who cannot see the chart.
  summarize() {
    return '';
  }

  // Draws all anew; sets `this.x`, a function from values to pixels.
  draw() {
    if (!this.data || !this.root.isConnected) {
      return;
    }
    const width = Math.max(this.root.clientWidth, 240);
    const xs = this.xs;
    const [first, last] = xs.length ? this.extent() : [0, 0];
    const room = width - LEFT - RIGHT;
    const marks = xTicks(this.axis, first, last, room);
    const bottom = marks.some(({day}) => day) ? BOTTOM_WITH_DAYS : BOTTOM;
    const height =
      TOP +
      bottom +
      GAP * (this.panels.length - 1) +
      this.panels.reduce((sum, panel) => sum + panel.height, 0);
    this.picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.picture.setAttribute('height', height);
    this.picture.setAttribute(
      'aria-label',
      `${this.title}. ${this.xs.length ? this.summarize() : 'No points yet.'} ` +
        'Arrow keys move through the points.'
    );
    this.picture.replaceChildren();
    this.legend.replaceChildren();
    if (!xs.length) {
      this.line = null;
      this.picture.append(
        svg('text', {x: LEFT, y: TOP + 20, class: 'tick'}, 'No points yet')
      );
      return;
    }
    this.x = (value) =>
      LEFT + (last > first ? ((value - first) / (last - first)) * room : room / 2);
    let top = TOP;
    for (const panel of this.panels) {
      this.drawPanel(panel, top, width);
      top += panel.height + GAP;
    }
    this.drawGaps(TOP, height - bottom);
    this.drawXAxis(marks, height - bottom);
    this.drawMarks(TOP, height - bottom);
    this.line = svg('line', {
      class: 'cursor',
      y1: TOP,
      y2: height - bottom,
      visibility: 'hidden',
    });
    this.picture.append(this.line);
    this.setCursor(this.cursor);
  }

  extent() {
    return [Math.min(...this.xs), Math.max(...this.xs)];
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

  drawXAxis(marks, y) {
    for (const {value, text, day} of marks) {
      const x = this.x(value);
      this.picture.append(
        svg('line', {class: 'axis-line', x1: x, x2: x, y1: y, y2: y + 4}),
        svg('text', {class: 'tick', x, y: y + 16, 'text-anchor': 'middle'}, text)
      );
      if (day) {
        const anchor = x < LEFT + 35 ? 'start' : 'middle';
        this.picture.append(
          svg(
            'text',
            {
              class: 'tick day',
              x: anchor === 'start' ? x - 14 : x,
              y: y + 29,
              'text-anchor': anchor,
            },
            day
          )
        );
      }
    }
  }

  // The time in which nothing was written.
  drawGaps(top, bottom) {
    if (this.axis !== 'time') {
      return;
    }
    const [first, last] = this.extent();
    for (const gap of this.data.gaps) {
      const [begin, end] = [Math.max(gap[0], first), Math.min(gap[1], last)];
      if (!(end > begin)) {
        continue;
      }
      const [from, to] = [this.x(begin), this.x(end)];
      this.picture.append(
        svg('rect', {
          class: 'gap',
          x: from,
          y: top,
          width: Math.max(to - from, 1),
          height: bottom - top,
        })
      );
      if (to - from > ROOM_OF_GAP_TEXT) {
        this.picture.append(
          svg(
            'text',
            {
              class: 'tick gap-text',
              x: from + 8,
              y: top + 14,
            },
            `${wordsOf(gap)}, ${format.span(gap[1] - gap[0])}`
          )
        );
      }
    }
  }

  // Where an event stands on the axis.
  placeOf(event) {
    if (this.axis === 'time') {
      return event.time;
    }
    const {time, step} = this.data.series;
    const at = time.findIndex((t) => t >= event.time);
    return event.step ?? step[at < 0 ? step.length - 1 : at];
  }

  // Events that stand close together share a mark.
  drawMarks(top, bottom) {
    const [first, last] = this.extent();
    const marks = [];
    for (const event of this.data.events) {
      const place = this.placeOf(event);
      if (!toneOf(event) || !(place >= first && place <= last)) {
        continue;
      }
      const x = this.x(place);
      const before = marks.find((mark) => Math.abs(mark.x - x) < ROOM_OF_MARK);
      if (before) {
        before.events.push(event);
      } else {
        marks.push({x, events: [event]});
      }
    }
    for (const {x, events} of marks) {
      const tones = events.map(toneOf);
      const tone = tones.includes('bad') ? 'bad' : tones[0];
      this.picture.append(
        svg(
          'g',
          {class: `event-mark ${tone}`, 'data-what': events.map((e) => e.what).join(' ')},
          svg('title', {}, events.map(({text}) => text).join('\n')),
          svg('line', {x1: x, x2: x, y1: top, y2: bottom}),
          svg('path', {d: `M${x} ${top}l-5 -8h10z`})
        )
      );
    }
  }

  // "M x y L x y ..." of a column; lifts the pen where nothing was written.
  path(column, y, xs = this.xs, cuts = this.cuts) {
    let path = '';
    let isDown = false;
    column.forEach((value, i) => {
      if (value === null || value === undefined) {
        isDown = false;
        return;
      }
      isDown = isDown && !cuts.has(i);
      path += `${isDown ? 'L' : 'M'}${this.x(xs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = true;
    });
    return path;
  }

  // The area between two columns, in pieces where nothing was written.
  area(lower, upper, y) {
    const pieces = [];
    let isOpen = false;
    upper.forEach((value, i) => {
      if (value === null) {
        isOpen = false;
        return;
      }
      if (!isOpen || this.cuts.has(i)) {
        pieces.push([]);
      }
      pieces[pieces.length - 1].push(i);
      isOpen = true;
    });
    const corner = (i, column) =>
      `${this.x(this.xs[i]).toFixed(1)} ${y(column[i] ?? 0).toFixed(1)}`;
    return pieces
      .map(
        (piece) =>
          `M${piece.map((i) => corner(i, upper)).join('L')}` +
          `L${[...piece].reverse().map((i) => corner(i, lower)).join('L')}Z`
      )
      .join('');
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
    this.readout.textContent = this.read(place).join(' \u00B7 ');
  }

  // When a point was written, and what has happened since the one before.
  readWhen(place) {
    const {time, step} = this.data.series;
    const since = place > 0 ? time[place - 1] : -Infinity;
    const events = this.data.events.filter(
      (event) => event.time > since && event.time <= time[place]
    );
    return [
      `${format.date(time[place])}, step ${format.count(step[place])}`,
      ...events.slice(-3).map(({text}) => text),
    ];
  }
}
