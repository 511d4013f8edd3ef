// The time of the clients' logs: Unix time in nanoseconds.
//
// What Node calls the time's origin was read from two clocks that may lie a thread's pause apart. Here the clock that has
// only milliseconds is watched until it moves.
function origin() {
  for (;;) {
    let [before, last] = [performance.now(), Date.now()];
    for (;;) {
      const between = performance.now();
      const milliseconds = Date.now();
      const after = performance.now();
      if (milliseconds !== last) {
        // The step lies between `before` and `after`: not where something came between.
        if (after - before < 0.005) return milliseconds - after;
        break;
      }
      before = between;
    }
  }
}

const ORIGIN = origin();

module.exports = () => Math.round((ORIGIN + performance.now()) * 1e6);
