// Node's http.request or fetch. Usage: node client.js http|fetch PLAN LOG CONCURRENCY
'use strict';
const fs = require('fs');
const http = require('http');

const [, , api, planFile, logFile, concurrency] = process.argv;
const log = fs.openSync(logFile, 'w');
const plan = fs.readFileSync(planFile, 'utf8').split('\n').filter(Boolean);
let stopping = false;
let next = 0;
process.on('SIGTERM', () => { stopping = true; });

// Date.now() only knows milliseconds: find the instants of some ticks and count from there. What
// delays the look at a clock makes the offset too small, so the largest is the best.
const offset = (() => {
  let best = 0n;
  for (let tick = 0; tick < 20; tick++) {
    const before = Date.now();
    let now;
    while ((now = Date.now()) === before);
    const seen = BigInt(now) * 1000000n - process.hrtime.bigint();
    if (seen > best) best = seen;
  }
  return best;
})();
const now = () => process.hrtime.bigint() + offset;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function parse(line) {
  const [id, method, url, body, flags] = line.split('\t');
  const call = { id, method, url, body: Number(body), headers: {} };
  for (const flag of flags.split(',')) {
    const [key, value] = flag.split('=');
    call[key] = value === undefined ? true : Number(value);
  }
  for (let n = 0; n < Math.floor((call.pad || 0) / 4000); n++) call.headers[`x-pad-${n}`] = 'p'.repeat(4000);
  return call;
}

function* chunks(call) {
  for (let left = call.body; left > 0; left -= 700) yield 'x'.repeat(Math.min(left, 700));
}

const agent = new http.Agent({ keepAlive: true, maxSockets: Number(concurrency) });
const socketPath = process.env.UNIX_SOCKET;

function request(call, url) {
  return new Promise((resolve, reject) => {
    const headers = { ...call.headers };
    if (call.expect) headers.expect = '100-continue';
    if (call.body && !call.chunked) headers['content-length'] = call.body;
    const req = http.request(url, { method: call.method, headers, agent, socketPath, maxHeaderSize: 65536 });
    req.on('error', reject);
    req.on('response', (res) => {
      let received = 0;
      res.on('data', (data) => { received += data.length; });
      res.on('error', reject);
      res.on('end', () => {
        if (res.statusCode === 302) resolve(request(call, new URL(res.headers.location, url)));
        else resolve({ status: res.statusCode, received });
      });
    });
    const send = () => {
      if (call.chunked) for (const chunk of chunks(call)) req.write(chunk);
      else if (call.body) req.write('x'.repeat(call.body));
      req.end();
    };
    if (call.expect) {
      req.on('continue', send);
      req.flushHeaders();
    } else send();
  });
}

async function byFetch(call) {
  const options = { method: call.method, headers: call.headers };
  if (call.chunked) {
    options.duplex = 'half';
    const source = chunks(call);
    options.body = new ReadableStream({
      pull(controller) {
        const { value, done } = source.next();
        if (done) controller.close();
        else controller.enqueue(Buffer.from(value));
      },
    });
  } else if (call.body) options.body = 'x'.repeat(call.body);
  const response = await fetch(call.url, options);
  const received = (await response.arrayBuffer()).byteLength;
  return { status: response.status, received };
}

async function worker() {
  while (next < plan.length && !stopping) {
    const call = parse(plan[next++]);
    const start = now();
    const { status, received } = await (api === 'fetch' ? byFetch(call) : request(call, new URL(call.url)));
    const end = now();
    // By hand: JSON.stringify refuses 64-bit integers.
    fs.writeSync(log, `{"call":"${call.id}","method":"${call.method}","url":"${call.url}","status":${status},`
      + `"sent":${call.body},"received":${received},"start":${start},"end":${end},"pid":${process.pid}}\n`);
    if (call.pause) await sleep(call.pause);
  }
}

Promise.all(Array.from({ length: Number(concurrency) }, worker)).then(() => process.exit(0), (e) => {
  console.error(e);
  process.exit(1);
});
