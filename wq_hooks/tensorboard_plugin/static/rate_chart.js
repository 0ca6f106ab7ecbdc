// Items per second, records per second where they are counted, and below, over
// the same axis, the age of the oldest item in flight: the alarm of a straggler.

import {Chart} from './chart.js';
import {svg} from './dom.js';
import * as format from './format.js';

function highest(column) {
  return Math.max(0, ...(column ?? []).filter((value) => value !== null));
}

function panel(tag, kind, text, tick, height) {
  return {
    height,
    tick,
    highest: (series) => highest(series[tag]),
    draw: (chart, {y}) => {
      const column = chart.data.series[tag];
      if (column) {
        chart.picture.append(
          svg('path', {class: `line ${kind}`, d: chart.path(column, y)})
        );
        chart.addLegend(kind, text);
      }
    },
  };
}

const ITEMS = panel('items_per_sec', 'items-rate', 'items/s', format.number, 88);
const RECORDS = panel(
  'records_per_sec',
  'records-rate',
  'records/s',
  format.number,
  52
);
const OLDEST = panel(
  'oldest_in_flight_secs',
  'oldest',
  'oldest item in flight',
  (value) => (value >= 600 ? `${format.number(value / 60)} min` : `${format.number(value)} s`),
  88
);
const SMALL = 55;

export class RateChart extends Chart {
  constructor(axis) {
    super(axis, {title: 'Rate, and the oldest item in flight', panels: []});
  }

  update(data) {
    // As high as the chart beside it.
    this.panels = data.series.records_per_sec
      ? [
          {...ITEMS, height: SMALL},
          {...RECORDS, height: SMALL - 2},
          {...OLDEST, height: SMALL - 1},
        ]
      : [ITEMS, OLDEST];
    super.update(data);
  }

  read(place) {
    const {series} = this.data;
    const words = [];
    const items = series.items_per_sec?.[place];
    const records = series.records_per_sec?.[place];
    const oldest = series.oldest_in_flight_secs?.[place];
    if (items !== null && items !== undefined) {
      words.push(format.rate(items, 'items').join(' '));
    }
    if (records !== null && records !== undefined) {
      words.push(format.rate(records, 'records').join(' '));
    }
    if (oldest !== null && oldest !== undefined) {
      words.push(`oldest ${format.secs(oldest)}`);
    }
    return words;
  }
}
