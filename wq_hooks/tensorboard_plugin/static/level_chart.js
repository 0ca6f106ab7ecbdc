// Completed, in flight and remaining above each other; the low watermark.

import {Chart} from './chart.js';
import {svg} from './dom.js';
import * as format from './format.js';

const MAX_MARKS = 40;
const ROOM_OF_TEXT = 56;

function sum(...columns) {
  return columns[0].map((_, i) =>
    columns.some((column) => column[i] === null)
      ? null
      : columns.reduce((total, column) => total + column[i], 0)
  );
}

export class LevelChart extends Chart {
  constructor(axis) {
    super(axis, {
      title: 'Items',
      panels: [
        {
          height: 190,
          isWhole: true,
          tick: format.number,
          highest: (series, data) =>
            data.total ??
            Math.max(
              1,
              ...(series.completed ?? []).map(
                (value, i) => value + (series.in_flight?.[i] ?? 0)
              )
            ),
          draw: (chart, frame) => chart.drawLevels(frame),
        },
      ],
    });
  }

  drawLevels({y, top, bottom}) {
    const {series} = this.data;
    const nothing = this.xs.map(() => 0);
    const completed = series.completed ?? nothing;
    const taken = sum(completed, series.in_flight ?? nothing);
    const layers = [
      ['completed', 'completed', nothing, completed],
      ['in-flight', 'in flight', completed, taken],
    ];
    if (series.remaining) {
      layers.push(['remaining', 'remaining', taken, sum(taken, series.remaining)]);
    }
    for (const [kind, text, lower, upper] of layers) {
      this.picture.append(
        svg('path', {class: `area ${kind}`, d: this.area(lower, upper, y)})
      );
      this.addLegend(kind, text);
    }
    if (series.low_watermark) {
      this.picture.append(
        // Seen on each of the areas.
        svg('path', {
          class: 'line halo',
          d: this.path(series.low_watermark, y),
        }),
        svg('path', {
          class: 'line low-watermark',
          d: this.path(series.low_watermark, y),
        })
      );
      this.addLegend('low-watermark', 'low watermark');
    }
    this.drawEpochs(y, top, bottom);
  }

  // A mark where an epoch's worth of items was completed.
  drawEpochs(y, top, bottom) {
    const {series, items_per_epoch: size, num_epochs: numEpochs} = this.data;
    const completed = series.completed ?? [];
    if (!size || (numEpochs ?? MAX_MARKS) > MAX_MARKS) {
      return;
    }
    let epoch = 1;
    let hasMark = false;
    let textEnd = -Infinity;
    completed.forEach((value, i) => {
      for (; value !== null && value >= epoch * size; epoch++) {
        if (i === 0 || epoch > MAX_MARKS) {
          continue;
        }
        hasMark = true;
        const x = this.x(this.xs[i]);
        this.picture.append(
          svg('line', {class: 'epoch-mark', x1: x, x2: x, y1: top, y2: bottom})
        );
        // Above the curves, where there is room.
        if (x > textEnd) {
          textEnd = x + ROOM_OF_TEXT;
          this.picture.append(
            svg(
              'text',
              {class: 'tick epoch-text', x, y: top - 13, 'text-anchor': 'end'},
              `epoch ${epoch}`
            )
          );
        }
      }
    });
    if (hasMark) {
      this.addLegend('epoch-mark', 'end of an epoch');
    }
  }

  summarize() {
    const {data} = this;
    const of = data.total === null ? '' : ` of ${format.count(data.total)}`;
    const {time} = data.series;
    return (
      `From ${format.date(time[0])} to ${format.date(time[time.length - 1])}: ` +
      `${format.count(data.completed)}${of} items completed, ` +
      `${format.count(data.in_flight)} in flight, ` +
      (data.remaining === null
        ? 'without an end.'
        : `${format.count(data.remaining)} remaining.`)
    );
  }

  read(place) {
    const {series} = this.data;
    const words = ['completed', 'in_flight', 'remaining', 'low_watermark']
      .filter((tag) => series[tag] && series[tag][place] !== null)
      .map((tag) => `${tag.replace('_', ' ')} ${format.count(series[tag][place])}`);
    return [...this.readWhen(place), ...words];
  }
}
