// The numbers on top of a card.

import {el} from './dom.js';
import * as format from './format.js';

const MAX_SEGMENTS = 12;

function tile(id, label, value, unit, note, extra) {
  return el(
    'div',
    {class: 'tile', 'data-tile': id},
    el('dt', {}, label),
    el(
      'dd',
      {},
      el('span', {class: 'value'}, value),
      // A space, for who has it read aloud.
      unit ? ' ' : null,
      unit ? el('span', {class: 'unit'}, unit) : null,
      note ? ' ' : null,
      note ? el('span', {class: 'note'}, note) : null,
      extra
    )
  );
}

// One segment for each epoch, filled as far as it is done.
function epochBar(epoch, numEpochs) {
  if (!numEpochs || numEpochs > MAX_SEGMENTS) {
    return null;
  }
  const bar = el('span', {class: 'epochs', 'aria-hidden': 'true'});
  for (let i = 0; i < numEpochs; i++) {
    const part = Math.min(Math.max(epoch - i, 0), 1) * 100;
    bar.append(el('span', {}, el('span', {style: `width: ${part}%`})));
  }
  return bar;
}

function countTiles(data) {
  const endless = data.total === null;
  const repeated = [
    data.repeated ? `${format.count(data.repeated)} handed out again` : '',
    data.given_up ? `${format.count(data.given_up)} GIVEN UP` : '',
  ].filter(Boolean);
  return [
    tile(
      'remaining',
      'Remaining',
      endless ? '\u221E' : format.count(data.remaining)
    ),
    tile(
      'in_flight',
      data.is_live === false && data.in_flight ? 'In flight, at the last' : 'In flight',
      format.count(data.in_flight),
      '',
      data.in_flight ? `oldest ${format.secs(data.oldest_in_flight_secs)}` : ''
    ),
    tile(
      'completed',
      'Completed',
      format.count(data.completed),
      endless ? '' : `of ${format.count(data.total)}`,
      repeated.join(', ') ||
        (data.total ? format.percent(data.completed / data.total) : '')
    ),
    tile(
      'epoch',
      'Epoch',
      format.number(data.epoch),
      data.num_epochs ? `of ${format.count(data.num_epochs)}` : '',
      '',
      epochBar(data.epoch, data.num_epochs)
    ),
  ];
}

function timeTiles(data, units) {
  const [rate, rateUnit] = format.rate(data.recent_items_per_sec, 'items', units.items);
  const records = format.rate(data.recent_records_per_sec, 'records', units.records);
  const tiles = [
    tile(
      'rate',
      data.is_live === false ? 'Rate, at the last' : 'Rate',
      rate,
      rateUnit,
      data.records ? records.join(' ') : ''
    ),
  ];
  if (data.elapsed_secs !== null) {
    const began = `since ${format.minute(data.started)}`;
    const done =
      format.day(data.started) === format.day(data.ended)
        ? `${format.minute(data.started)} to ${format.clock(data.ended, 60)}`
        : `${format.minute(data.started)} to ${format.minute(data.ended)}`;
    tiles.push(
      tile(
        'elapsed',
        data.ended ? 'Took' : 'Elapsed',
        format.secs(data.elapsed_secs),
        '',
        data.ended ? done : began
      )
    );
  }
  if (data.status !== 'done') {
    tiles.push(
      tile('eta', 'To go', format.secs(data.eta_secs), '', data.eta_note)
    );
  }
  if (data.item_secs) {
    const [p10, p50, p90] = data.item_secs;
    tiles.push(
      tile(
        'item_secs',
        'Time per item',
        format.secs(p50),
        'median',
        `${format.secs(p10)} to ${format.secs(p90)}`
      )
    );
  }
  return tiles;
}

// `units`: {items, records}, see format.unitFor.
export function tiles(data, units) {
  const made = [...countTiles(data), ...timeTiles(data, units)];
  if (data.given_up_names.length) {
    made.push(
      tile('given_up', 'Given up', data.given_up_names.slice(0, 3).join(', '))
    );
  }
  return made;
}
