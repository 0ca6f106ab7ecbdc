// Several runs over the time since each of them began: how much is done.

import {Chart} from './chart.js';
import {svg} from './dom.js';
import * as format from './format.js';
import {cutsOf} from './gaps.js';

const MAX_POINTS = 300;

function lineOf(data) {
  const {time, completed} = data.series;
  if (!data.total || !time || !completed) {
    return null;
  }
  const order = time.map((_, i) => i).sort((a, b) => time[a] - time[b]);
  const began = Math.min(data.started ?? Infinity, time[order[0]]);
  const times = order.map((i) => time[i]);
  return {
    run: data.run,
    queue: data.queue,
    xs: times.map((t) => t - began),
    shares: order.map((i) =>
      completed[i] === null ? null : (100 * completed[i]) / data.total
    ),
    cuts: cutsOf(times, data.gaps),
  };
}

export class OverlayChart extends Chart {
  constructor() {
    super('elapsed', {
      heading: 'h2',
      title: 'Completed, over the time since the beginning',
      panels: [
        {
          height: 170,
          tick: (value) => `${value} %`,
          highest: () => 100,
          draw: (chart, {y}) => chart.drawRuns(y),
        },
      ],
    });
    this.root.classList.add('overlay');
    this.root.hidden = true;
  }

  // `cards`: what each card shows; as many lines as there are with an end.
  show(cards) {
    this.lines = cards.map(lineOf).filter(Boolean);
    this.root.hidden = this.lines.length < 2;
    if (this.root.hidden) {
      this.data = null;
      return;
    }
    const all = [...new Set(this.lines.flatMap(({xs}) => xs))].sort((a, b) => a - b);
    const every = Math.ceil(all.length / MAX_POINTS);
    const elapsed = all.filter((_, i) => i % every === 0 || i === all.length - 1);
    this.update({series: {elapsed}, gaps: [], events: []});
  }

  nameOf({run, queue}) {
    const queues = new Set(this.lines.map((line) => line.queue));
    return queues.size > 1 ? `${run} \u00B7 ${queue}` : run;
  }

  extent() {
    return [0, Math.max(...this.xs)];
  }

  drawRuns(y) {
    this.lines.forEach((line, i) => {
      const kind = `run-${i}`;
      this.picture.append(
        svg('path', {
          class: `line ${kind}`,
          d: this.path(line.shares, y, line.xs, line.cuts),
        })
      );
      this.addLegend(kind, `\u2068${this.nameOf(line)}\u2069`);
    });
  }

  // What was completed of a line at a time; null before its beginning.
  shareAt({xs, shares}, value) {
    const at = xs.findLastIndex((x) => x <= value + 1e-6);
    return at < 0 ? null : shares[at];
  }

  summarize() {
    const parts = this.lines.map(
      (line) =>
        `${this.nameOf(line)}: ${format.percent(line.shares.at(-1) / 100)} after ` +
        format.secs(line.xs.at(-1))
    );
    return `${parts.join('; ')}.`;
  }

  read(place) {
    const value = this.xs[place];
    return [
      `after ${format.secs(value)}`,
      ...this.lines
        .map((line) => [line, this.shareAt(line, value)])
        .filter(([, share]) => share !== null)
        .map(([line, share]) => `${this.nameOf(line)} ${format.percent(share / 100)}`),
    ];
  }
}
