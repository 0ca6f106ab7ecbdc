// When nothing was written of a queue, or nothing moved in it. No chart draws a
// line across.

const WORDS = {
  dead: 'not running',
  silent: 'nothing written',
  stalled: 'nothing moved',
};

// What is said of a gap: [begin, end, why].
export function wordsOf([, , why]) {
  return WORDS[why] ?? 'nothing written';
}

// The points, by place, between which and the one before there is a gap.
export function cutsOf(times, gaps) {
  const cuts = new Set();
  times.forEach((time, i) => {
    const before = times[i - 1];
    if (i > 0 && gaps.some(([begin, end]) => begin < time && end > before)) {
      cuts.add(i);
    }
  });
  return cuts;
}
