// node-postgres: all messages of a query at once, without a name unless asked for.
const { Client } = require("pg");
const fs = require("fs");
const now = require("../clock.js");
const path = require("path");

const [port, file] = process.argv.slice(2);
const socket = process.env.UNIX_SOCKET;
const log = fs.openSync(file, "w");

const call = (summary, more) => ({ summary, returned: null, affected: null, code: null, batch: null, long: false, ...more });

async function main() {
  const client = new Client({ host: socket ? path.dirname(socket) : "127.0.0.1", port: Number(port), user: "postgres", database: "postgres" });
  await client.connect();
  const local = socket ? client.processID : client.connection.stream.localPort;
  const asked = async (calls, work) => {
    const start = now();
    // The error is told before the answer is read to its end.
    const failed = (error) => new Promise((resolve) => setTimeout(() => resolve(error.code), 20));
    const code = await work().then(() => null, failed);
    const line = { pid: process.pid, port: local, start, end: now(), calls };
    fs.writeSync(log, JSON.stringify(line) + "\n");
    const expected = calls.map((call) => call.code).find((code) => code) ?? null;
    if (code !== expected) throw new Error(`${code}, not ${expected}`);
  };
  const query = (calls, ...parameters) => asked(calls, () => client.query(...parameters));

  await query([call("CREATE TABLE js")], "CREATE TABLE js (id int PRIMARY KEY, name text)");
  await query([call("BEGIN")], "BEGIN");
  for (let n = 0; n < 5; n++) {
    await query([call("INSERT js", { affected: 1 })], "INSERT INTO js VALUES ($1, $2)", [n, "secret" + n]);
  }
  await query([call("COMMIT")], "COMMIT");
  await query([call("SELECT js", { returned: 5 })], "SELECT * FROM js WHERE name <> $1", ["secret"]);
  await query([call("SELECT js", { returned: 4 })], "SELECT * FROM js WHERE name <> 'secret0'");
  const named = { name: "by-id", text: "SELECT name FROM js WHERE id = $1" };
  for (let n = 0; n < 100; n++) {
    await query([call("SELECT js", { returned: 1 })], { ...named, values: [n % 5] });
  }
  await query([call("INSERT js", { code: "23505" })], "INSERT INTO js VALUES ($1, 'secret')", [1]);
  await query([call("SELECT nowhere", { code: "42P01" })], "SELECT * FROM nowhere WHERE id = $1", [1]);
  await query([call("SELECT js UPDATE js", { returned: 5, affected: 5, batch: 2 })], "SELECT * FROM js; UPDATE js SET name = 'secret'");
  await query([call("SELECT generate_series", { returned: 20000, long: true })], "SELECT repeat('x', 1000) FROM generate_series(1, $1::int)", [20000]);
  await query([call("SELECT", { returned: 1, long: true })], "SELECT $1::text", ["secret".repeat(500000)]);
  // Asked all at once, the library sends one after the other.
  const many = Array.from({ length: 20 }, () => call("SELECT js", { returned: 5 }));
  await asked(many, () => Promise.all(many.map(() => client.query("SELECT * FROM js WHERE id >= $1", [0]))));
  await client.end();
}

main();
