// Items per second, records per second where they are counted, and below, over
// the same axis, the age of the oldest item in flight: the alarm of a straggler.

import {Chart} from './chart.js';
import {svg} from './dom.js';
import * as format from './format.js';

const SMALL = 55;

function highest(column) {
  return Math.max(0, ...(column ?? []).filter((value) => value !== null));
}

// `times`: what a value of the log is multiplied with to be shown.
function panel(tag, kind, text, tick, height, times = 1) {
  const shown = (series) =>
    series[tag]?.map((value) => (value === null ? null : value * times));
  return {
    height,
    tick,
    highest: (series) => highest(shown(series)),
    draw: (chart, {y}) => {
      const column = shown(chart.data.series);
      if (column) {
        chart.picture.append(
          svg('path', {class: `line ${kind}`, d: chart.path(column, y)})
        );
        chart.addLegend(kind, text);
      }
    },
  };
}

function rates(what, unit, height) {
  return panel(
    `${what}_per_sec`,
    `${what}-rate`,
    `${what}/${unit.text}`,
    format.number,
    height,
    unit.secs
  );
}

function oldest(height) {
  return panel(
    'oldest_in_flight_secs',
    'oldest',
    'oldest item in flight',
    (value) =>
      value >= 600 ? `${format.number(value / 60)} min` : `${format.number(value)} s`,
    height
  );
}

export class RateChart extends Chart {
  constructor(axis) {
    super(axis, {title: 'Rate, and the oldest item in flight', panels: []});
  }

  // `units`: {items, records}, see format.unitFor.
  update(data, units) {
    this.units = units;
    // As high as the chart beside it.
    this.panels = data.series.records_per_sec
      ? [
          rates('items', units.items, SMALL),
          rates('records', units.records, SMALL - 2),
          oldest(SMALL - 1),
        ]
      : [rates('items', units.items, 88), oldest(88)];
    super.update(data);
  }

  summarize() {
    const known = (this.data.series.items_per_sec ?? []).filter((v) => v !== null);
    const {series, oldest_in_flight_secs: age} = this.data;
    const say = (value) => format.rate(value, 'items', this.units.items).join(' ');
    const parts = [];
    if (known.length) {
      parts.push(
        `${say(Math.min(...known))} to ${say(Math.max(...known))}, ` +
          `${say(known[known.length - 1])} at the end`
      );
    }
    if (series.oldest_in_flight_secs) {
      parts.push(`the oldest item in flight has been open for ${format.secs(age)}`);
    }
    return `${parts.join('; ')}.`;
  }

  read(place) {
    const {series} = this.data;
    const words = this.readWhen(place);
    const items = series.items_per_sec?.[place];
    const records = series.records_per_sec?.[place];
    const age = series.oldest_in_flight_secs?.[place];
    if (format.isKnown(items)) {
      words.push(format.rate(items, 'items', this.units.items).join(' '));
    }
    if (format.isKnown(records)) {
      words.push(format.rate(records, 'records', this.units.records).join(' '));
    }
    if (format.isKnown(age)) {
      words.push(`oldest ${format.secs(age)}`);
    }
    return words;
  }
}
