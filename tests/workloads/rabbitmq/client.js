// The same of amqplib: `client.js PORT LOG TAG`. The broker names the consumers, and confirms come for
// several messages at once.
const fs = require('fs');
const amqp = require('amqplib');

const [port, file, tag] = process.argv.slice(2);
const log = (line) => fs.appendFileSync(file, JSON.stringify({ pid: process.pid, ...line }) + '\n');
// Date.now() only knows milliseconds: find the instant of a tick and count from there.
let offset = null;
for (let tick = 0; tick < 5; tick++) {
  const before = Date.now();
  let at;
  while ((at = Date.now()) === before);
  const seen = BigInt(at) * 1000000n - process.hrtime.bigint();
  if (offset === null || seen > offset) offset = seen;
}
const now = () => Number(process.hrtime.bigint() + offset);
const sizes = [0, 5, 6000, 20_000];
const exchange = `${tag}-ex`;
const queue = `${tag}-q`;

async function main() {
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${port}`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const plain = await connection.createChannel();
  const sure = await connection.createConfirmChannel();
  await plain.assertExchange(exchange, 'direct', { autoDelete: true });
  await plain.assertQueue(queue);
  await plain.bindQueue(queue, exchange, 'key');

  let sent = 0;
  const publish = (channel, name, size, confirmed) => {
    const id = `${tag}-${name}`;
    const trace = size === 600 ? `00-${'7'.repeat(32)}-${String(sent + 1).padStart(16, '0')}-01` : null;
    const headers = trace ? { token: 'secret', traceparent: trace } : { token: 'secret' };
    const line = { operation: 'publish', id, size, error: null, destination: `${exchange}:key`, confirmed, trace };
    const start = now();
    sent += 1;
    return new Promise((resolve, reject) => {
      const over = (error) => {
        log({ ...line, start, end: confirmed ? now() : null });
        error ? reject(error) : resolve();
      };
      const options = { messageId: id, headers };
      const body = Buffer.alloc(size, 's');
      if (confirmed) channel.publish(exchange, 'key', body, options, over);
      else { channel.publish(exchange, 'key', body, options); over(null); }
    });
  };
  const all = [];
  for (let n = 0; n < 60; n++) {
    all.push(publish(plain, `p${n}`, sizes[n % sizes.length], false));
    all.push(publish(sure, `s${n}`, sizes[n % sizes.length], true));
  }
  await Promise.all(all);

  await new Promise((resolve, reject) => {
    let got = 0;
    plain.prefetch(40);
    plain.consume(queue, (message) => {
      // The queue was deleted.
      if (!message) return;
      const at = now();
      const { messageId, headers } = message.properties;
      const { deliveryTag, redelivered } = message.fields;
      const start = now();
      got += 1;
      // The last of each ten settles those before it.
      plain.ack(message);
      log({ operation: 'consume', id: messageId, size: message.content.length, at, settled: 'ack', start,
            end: null, destination: `${exchange}:key:${queue}`, tag: deliveryTag, redelivered,
            trace: headers.traceparent || null });
      if (got === sent) resolve();
    }).catch(reject);
  });
  const later = await connection.createChannel();
  await later.deleteQueue(queue);
  await connection.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
