// mysql2: plain queries, and statements that are prepared once and executed by number.
const mysql = require("mysql2/promise");
const fs = require("fs");
const now = require("../clock.js");

const [port, file] = process.argv.slice(2);
const socket = process.env.UNIX_SOCKET;
const log = fs.openSync(file, "w");

const call = (summary, more) => ({
  summary, operation: null, namespace: "shop", returned: null, affected: null, code: null, batch: null, long: false, logged: true, ...more,
});

async function main() {
  const client = await mysql.createConnection({
    ...(socket ? { socketPath: socket } : { host: "127.0.0.1", port: Number(port) }), user: "app", password: "secret", database: "shop", multipleStatements: true,
  });
  const asked = async (calls, work) => {
    const start = now();
    const code = await work().then(() => null, (error) => String(error.errno));
    const line = { pid: process.pid, connection: client.connection.threadId, start, end: now(), calls };
    fs.writeSync(log, JSON.stringify(line) + "\n");
    const expected = calls.map((call) => call.code).find((code) => code) ?? null;
    if (code !== expected) throw new Error(`${code}, not ${expected}`);
  };
  const query = (calls, ...parameters) => asked(calls, () => client.query(...parameters));
  const execute = (calls, ...parameters) => asked(calls, () => client.execute(...parameters));

  await query([call("CREATE TABLE js")], "CREATE TABLE js (id INT PRIMARY KEY, name TEXT)");
  await query([call("BEGIN")], "BEGIN");
  for (let n = 0; n < 5; n++) {
    await execute([call("INSERT js", { affected: 1 })], "INSERT INTO js VALUES (?, ?)", [n, "secret" + n]);
  }
  await query([call("COMMIT")], "COMMIT");
  await query([call("SELECT js", { returned: 5 })], "SELECT * FROM js WHERE name <> ?", ["secret"]);
  for (let n = 0; n < 100; n++) {
    await execute([call("SELECT js", { returned: 1 })], "SELECT name FROM js WHERE id = ?", [n % 5]);
  }
  await execute([call("INSERT js", { code: "1062" })], "INSERT INTO js VALUES (?, ?)", [1, "secret"]);
  await execute([call("SELECT nowhere", { code: "1146", logged: false })], "SELECT * FROM nowhere WHERE id = ?", [1]);
  await query([call("SELECT js UPDATE js", { returned: 5, affected: 5, batch: 2 })], "SELECT * FROM js; UPDATE js SET name = 'secret'");
  await query([call("SELECT seq_1_to_20000", { returned: 20000, long: true })], "SELECT REPEAT('x', 1000) FROM seq_1_to_20000");
  await execute([call("SELECT seq_1_to_20000", { returned: 20000, long: true })], "SELECT REPEAT('x', 1000) FROM seq_1_to_20000 WHERE seq > ?", [0]);
  await query([call("SELECT", { returned: 1 })], "SELECT LENGTH(?)", ["secret".repeat(500000)]);
  // Asked all at once, the library sends one after the other.
  const many = Array.from({ length: 20 }, () => call("SELECT js", { returned: 5 }));
  await asked(many, () => Promise.all(many.map(() => client.execute("SELECT * FROM js WHERE id >= ?", [0]))));
  await asked([call("USE")], () => client.query("USE shop"));
  await asked([], () => client.ping());
  await client.changeUser({ database: "mysql" });
  await query([call("SELECT user", { returned: 1, namespace: "mysql" })], "SELECT user FROM user WHERE user = 'app'");
  await client.end();
}

main();
