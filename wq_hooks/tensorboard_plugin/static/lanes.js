// Items that a worker has open at the same time, beside each other.
//
// A pipeline of records() opens an item before the last one is completed.

export const MAX_LANES = 8;
// Times are rounded to a hundredth.
const TOUCHING_SECS = 0.02;

// Gives each bar, [row, item, start, end, kind, ...], the first lane of its row
// that is free. Returns {lanes, numOfRow}; the bars are ascending by start.
// Where there are more bars than lanes, they share the last one.
export function lanesOf(bars, numRows) {
  const ends = Array.from({length: numRows}, () => []);
  const lanes = bars.map(([row, , start, end, kind]) => {
    if (kind === 'repeat') {
      return 0;
    }
    const free = ends[row].findIndex((until) => until <= start + TOUCHING_SECS);
    const lane = free >= 0 ? free : Math.min(ends[row].length, MAX_LANES - 1);
    ends[row][lane] = Math.max(ends[row][lane] ?? 0, end);
    return lane;
  });
  return {lanes, numOfRow: ends.map((row) => Math.max(row.length, 1))};
}
