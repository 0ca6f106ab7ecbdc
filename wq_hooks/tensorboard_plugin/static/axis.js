// Where the ticks of an axis stand: at round values, at round times.

import * as format from './format.js';

const DAY_SECS = 86400;
const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600,
  43200, DAY_SECS, 2 * DAY_SECS, 7 * DAY_SECS,
];
const ROOM_OF_TICK = 100;

// The least round number of `steps` times a power of ten that is not below.
function roundUp(value, steps) {
  const power = 10 ** Math.floor(Math.log10(value));
  return steps.find((step) => step * power >= value) * power;
}

// Round values from 0 up to at least `top`, some four of them.
export function ticks(top, isWhole = false) {
  if (!(top > 0)) {
    return [0, 1];
  }
  let step = roundUp(top / 4, [1, 2, 2.5, 5, 10]);
  if (isWhole) {
    step = Math.max(1, Math.round(step));
  }
  const values = [];
  for (let i = 0; (i - 1) * step < top; i++) {
    values.push(i * step);
  }
  return values;
}

function multiples(first, last, step) {
  const values = [];
  for (let i = Math.ceil(first / step); i * step <= last; i++) {
    values.push(i * step);
  }
  return values;
}

function timeStep(span, room) {
  const wanted = span / Math.max(room / ROOM_OF_TICK, 2);
  const week = 7 * DAY_SECS;
  return (
    TIME_STEPS.find((step) => step >= wanted) ?? Math.ceil(wanted / week) * week
  );
}

// The ticks of a horizontal axis between two values, in so many pixels:
// [{value, text, day}, ...]. A day stands below the first tick of each day, and
// nowhere where all of it was today.
export function xTicks(axis, first, last, room) {
  const span = last - first;
  if (axis === 'time') {
    if (!(span > 0)) {
      return [tickOfTime(first, 1, !format.isToday(first))];
    }
    const step = timeStep(span, room);
    const shift = new Date(first * 1000).getTimezoneOffset() * 60;
    const values = multiples(first - shift, last - shift, step);
    const isOld = !format.isToday(first) || !format.isToday(last);
    let before = null;
    return values.map((value) => {
      const time = value + shift;
      const isFirst = format.day(time) !== before;
      before = format.day(time);
      return tickOfTime(time, step, isOld && isFirst);
    });
  }
  if (!(span > 0)) {
    return [{value: first, text: format.number(first)}];
  }
  if (axis === 'elapsed') {
    return multiples(first, last, timeStep(span, room)).map((value) => ({
      value,
      text: format.span(value),
    }));
  }
  const wanted = span / Math.max(room / ROOM_OF_TICK, 2);
  const step = Math.max(1, roundUp(wanted, [1, 2, 5, 10]));
  return multiples(first, last, step).map((value) => ({
    value,
    text: format.number(value),
  }));
}

function tickOfTime(value, step, hasDay) {
  return {
    value,
    text: step >= DAY_SECS ? '' : format.clock(value, step),
    day: hasDay || step >= DAY_SECS ? format.day(value) : '',
  };
}
