// Numbers and times in words.

const DASH = '\u2013';
const DAY_SECS = 86400;

// Whether somebody has measured a value.
export function isKnown(value) {
  return value !== null && value !== undefined;
}

export function count(value) {
  return isKnown(value) ? Math.round(value).toLocaleString('en-US') : DASH;
}

export function number(value) {
  if (!isKnown(value)) {
    return DASH;
  }
  const size = Math.abs(value);
  if (size >= 1e4) {
    return new Intl.NumberFormat('en-US', {
      notation: 'compact',
      maximumFractionDigits: 1,
    }).format(value);
  }
  if (size < 1) {
    return String(Number(value.toPrecision(2)));
  }
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

// The unit of time in which the largest of some rates is above one; all cards
// of the page show their rates in it.
export const UNITS = [
  {text: 's', secs: 1},
  {text: 'min', secs: 60},
  {text: 'h', secs: 3600},
];

export function unitFor(perSecs) {
  const largest = Math.max(0, ...perSecs.filter(Number.isFinite));
  if (largest === 0) {
    return UNITS[0];
  }
  return UNITS.find(({secs}) => largest * secs >= 1) ?? UNITS[2];
}

// [value, unit]
export function rate(perSec, what, unit = UNITS[0]) {
  if (!isKnown(perSec)) {
    return [DASH, ''];
  }
  return [number(perSec * unit.secs), `${what}/${unit.text}`];
}

export function secs(value) {
  if (!isKnown(value)) {
    return DASH;
  }
  if (value < 10) {
    return `${Number(value.toFixed(1))} s`;
  }
  const whole = Math.round(value);
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  if (whole < 2 * DAY_SECS) {
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }
  return `${Math.floor(whole / DAY_SECS)} d ${Math.floor((whole % DAY_SECS) / 3600)} h`;
}

// A time span without the parts that are zero: "2 min", "1 h 30 min".
export function span(value) {
  return secs(value).replace(/(?<=\D) 0 \D+$/, '');
}

// "24\u201333 s", "1:31\u20132:11": short, for a table.
export function range(from, to) {
  if (to < 60) {
    return `${secs(from).slice(0, -2)}${DASH}${secs(to)}`;
  }
  const short = (value) => {
    const whole = Math.round(value);
    return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  };
  return `${short(from)}${DASH}${short(to)}`;
}

export function percent(share) {
  const value = share * 100;
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} %`;
}

function two(value) {
  return String(value).padStart(2, '0');
}

export function day(time) {
  const at = new Date(time * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export function isToday(time) {
  return day(time) === day(Date.now() / 1000);
}

// The clock, with seconds where the ticks are that close.
export function clock(time, step = 1) {
  const at = new Date(time * 1000);
  const text = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return step < 60 ? `${text}:${two(at.getSeconds())}` : text;
}

export function date(time) {
  return `${day(time)} ${clock(time)}`;
}

// The clock alone where it was today.
export function moment(time) {
  return isToday(time) ? clock(time) : date(time);
}

// Likewise, without the seconds.
export function minute(time) {
  return isToday(time) ? clock(time, 60) : `${day(time)} ${clock(time, 60)}`;
}

// What became of an item, by the kind of its bar.
export const TEXT_OF_KIND = {
  done: 'completed',
  open: 'in flight',
  again: 'completed on a further try',
  lost: 'lost with its holder',
  given_up: 'given up',
  repeat: 'taken twice',
};

// What the time of an item went to, as far as somebody has measured it.
export function parts(records, trainSecs, waitSecs) {
  return [
    isKnown(records) ? `${count(records)} records` : '',
    isKnown(trainSecs) ? `${secs(trainSecs)} training` : '',
    isKnown(waitSecs) ? `${secs(waitSecs)} waiting for data` : '',
  ].filter(Boolean);
}
