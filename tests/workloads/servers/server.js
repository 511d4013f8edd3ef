// Node's http server. Usage: node server.js PORT|PATH
'use strict';
const http = require('http');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const server = http.createServer({ maxHeaderSize: 65536 }, (req, res) => {
  let received = 0;
  req.on('data', (data) => { received += data.length; });
  req.on('end', () => respond(req, res, received).catch((e) => { console.error(e); res.destroy(); }));
});

async function respond(req, res, received) {
  const url = new URL(req.url, 'http://host');
  const [what, ...args] = url.pathname.slice(1).split('/');
  const send = (status, body, headers = {}) => {
    if (status !== 204 && status !== 304) headers['content-length'] = Buffer.byteLength(body);
    res.writeHead(status, headers);
    res.end(req.method === 'HEAD' ? undefined : body);
  };
  switch (what) {
    case 'bytes': return send(200, 'x'.repeat(Number(args[0])));
    case 'chunked':
      res.writeHead(200);
      for (let left = Number(args[0]); left > 0; left -= 1000) res.write('x'.repeat(Math.min(left, 1000)));
      return res.end();
    case 'echo': return send(200, 'x'.repeat(received));
    case 'status': {
      const status = Number(args[0]);
      return send(status, status === 204 || status === 304 ? '' : 'status\n');
    }
    case 'redirect':
      return send(302, '', { location: `/bytes/10?call=${url.searchParams.get('call')}.r` });
    case 'delay':
      await sleep(Number(args[0]));
      return send(200, 'delayed\n');
    case 'sse':
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let n = 0; n < Number(args[0]); n++) {
        if (n) await sleep(Number(args[1]));
        res.write(`data: ${n}\n\n`);
      }
      return res.end();
    case 'pad': {
      const headers = {};
      for (let left = Number(args[0]), n = 0; left > 0; left -= 4000, n++) {
        headers[`x-pad-${n}`] = 'p'.repeat(Math.min(left, 4000));
      }
      return send(200, 'ok', headers);
    }
    default: return send(404, 'unknown');
  }
}

server.keepAliveTimeout = 60000;
const at = process.argv[2];
// The default host is `::`, dual stack.
server.listen(/^\d+$/.test(at) ? Number(at) : at);
