// Calls of opensearch-js: client.js PORT LOG TAG.
const { Client } = require("@opensearch-project/opensearch");
const fs = require("fs");
const now = require("../clock.js");

const [port, file, tag] = process.argv.slice(2);
const log = fs.openSync(file, "w");
const index = `products-${tag}`;
let made = 0;

function word() {
  const n = made++;
  return tag + [676, 26, 1].map((by) => String.fromCharCode(97 + (Math.floor(n / by) % 26))).join("");
}

async function call(operation, where, ask, expected = {}) {
  const name = word();
  const line = { call: name, system: "opensearch", operation, index: where, size: null, text: null, status: 200, pid: process.pid, ...expected };
  line.start = now();
  const code = await ask({ filter_path: "-" + name }).then((answer) => answer.statusCode, (error) => error.statusCode);
  line.end = now();
  fs.writeSync(log, JSON.stringify(line) + "\n");
  if (code !== line.status) throw new Error(`${operation}: ${code}, not ${line.status}`);
}

async function main() {
  const client = new Client({ node: `http://127.0.0.1:${port}` });
  const query = { query: { term: { name: "secret" } } };
  const text = '{"query":{"term":{"name":?}}}';
  await call("indices.create", index, (p) => client.indices.create({ index, body: { settings: { number_of_replicas: 0 } }, ...p }));
  for (let n = 0; n < 5; n++) {
    await call("index", index, (p) => client.index({ index, id: `${n}`, body: { name: "secret" }, ...p }), { status: 201 });
  }
  await call("get", index, (p) => client.get({ index, id: "1", ...p }));
  await call("get", index, (p) => client.get({ index, id: "none", ...p }), { status: 404 });
  const body = [0, 1, 2].flatMap((n) => [{ index: { _index: index, _id: `b${n}` } }, { name: "secret" }]);
  await call("bulk index", index, (p) => client.bulk({ body, ...p }), { size: 3 });
  await call("indices.refresh", index, (p) => client.indices.refresh({ index, ...p }));
  for (let n = 0; n < 10; n++) {
    await call("search", index, (p) => client.search({ index, body: query, ...p }), { text });
  }
  await Promise.all(Array.from({ length: 20 }, () => call("search", index, (p) => client.search({ index, body: query, ...p }), { text })));
  await call("count", index, (p) => client.count({ index, body: query, ...p }), { text });
  await call("indices.delete", index, (p) => client.indices.delete({ index, ...p }));
  await client.close();
}

main();
