// Numbers and times in words.

const DASH = '\u2013';

export function count(value) {
  return value === null || value === undefined
    ? DASH
    : Math.round(value).toLocaleString('en-US');
}

export function number(value) {
  if (value === null || value === undefined) {
    return DASH;
  }
  const size = Math.abs(value);
  if (size >= 1e4) {
    return new Intl.NumberFormat('en-US', {
      notation: 'compact',
      maximumFractionDigits: 1,
    }).format(value);
  }
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

// A rate in a unit that gives a number above one.
export function rate(perSec, what) {
  if (perSec === null || perSec === undefined) {
    return [DASH, ''];
  }
  if (perSec >= 1 || perSec === 0) {
    return [number(perSec), `${what}/s`];
  }
  if (perSec * 60 >= 1) {
    return [number(perSec * 60), `${what}/min`];
  }
  return [number(perSec * 3600), `${what}/h`];
}

export function secs(value) {
  if (value === null || value === undefined) {
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
  if (whole < 172800) {
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function percent(share) {
  const value = share * 100;
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} %`;
}

function two(value) {
  return String(value).padStart(2, '0');
}

// A moment; with the date where the span is longer than a day.
export function moment(time, span = 0) {
  const date = new Date(time * 1000);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (span > 86400) {
    return `${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
  }
  return span > 0 && span < 600 ? `${clock}:${two(date.getSeconds())}` : clock;
}

export function date(time) {
  const at = new Date(time * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
