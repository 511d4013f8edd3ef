// A Node service that asks another one while it answers: one thread, many requests. Usage: node desk.js PORT;
// DOWN is the base URL of the other one.
'use strict';
const http = require('http');

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The id of another request, if ids are permuted: the last digit is one higher.
const others = (call) => (process.env.PERMUTED ? call.slice(0, -1) + ((Number(call.slice(-1)) + 1) % 10) : call);

const ask = (call, n) => new Promise((resolve, reject) => {
  http.get(`${process.env.DOWN}/bytes/10?call=${others(call)}.${n}`, { agent }, (res) => {
    res.resume();
    res.on('end', resolve);
  }).on('error', reject);
});

const server = http.createServer(async (req, res) => {
  const call = new URL(req.url, 'http://host').searchParams.get('call');
  await ask(call, 'one');
  await sleep(call.length % 8);
  await ask(call, 'two');
  await ask(call, 'three');
  res.end('{}');
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
