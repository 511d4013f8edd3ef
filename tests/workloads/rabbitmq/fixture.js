// The same of amqplib: `fixture.js PORT`. Messages and confirms come several at once.
const amqp = require('amqplib');

async function main() {
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${process.argv[2]}`);
  const plain = await connection.createChannel();
  const sure = await connection.createConfirmChannel();
  const { queue } = await plain.assertQueue('', { exclusive: true });
  await plain.assertQueue('tasks');
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let n = 0; n < 20; n++) {
    plain.publish('', 'tasks', Buffer.alloc(n * 10, 's'), { messageId: `p${n}` });
    sure.publish('', n % 2 ? 'tasks' : queue, Buffer.from('secret'), { messageId: `s${n}` });
  }
  await sure.waitForConfirms();
  const brought = (from, count, options) => new Promise((resolve, reject) => {
    let left = count;
    plain.consume(from, (message) => {
      if (!message) return;
      left -= 1;
      // The last settles all that came before it.
      if (!options.noAck && left % 6 === 0) plain.ack(message, true);
      if (left === 0) resolve();
    }, options).catch(reject);
  });
  await brought('tasks', 30, {});
  await brought(queue, 10, { noAck: true });
  const later = await connection.createChannel();
  await later.deleteQueue('tasks');
  await connection.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
