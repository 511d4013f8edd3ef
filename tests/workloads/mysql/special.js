// mysql2 in special circumstances. Arguments: PORT LOG KIND [FILE].
const mysql = require("mysql2/promise");
const fs = require("fs");
const now = require("../clock.js");

const [port, file, kind, signal] = process.argv.slice(2);
const log = fs.openSync(file, "w");
const call = (summary, returned) => ({
  summary, operation: null, namespace: null, returned, affected: null, code: null, batch: null, long: false, logged: true,
});
const kinds = {
  tls: { ssl: { rejectUnauthorized: false } },
  compressed: { compress: true },
  // Older than the agent: it is started while the client waits for a file.
  older: {},
};

async function main() {
  const client = await mysql.createConnection({
    host: "127.0.0.1", port: Number(port), user: "app", password: "secret", database: "shop", ...kinds[kind],
  });
  const asked = async (calls, work) => {
    const start = now();
    await work();
    const line = { pid: process.pid, connection: client.connection.threadId, start, end: now(), calls };
    fs.writeSync(log, JSON.stringify(line) + "\n");
  };
  const text = "SELECT ? + seq FROM seq_1_to_3";
  await client.execute(text, [1]);
  if (kind === "older") {
    console.log("waiting");
    for (let n = 0; !fs.existsSync(signal); n++) {
      if (n > 3000) throw new Error("nobody came");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  for (let n = 0; n < 20; n++) {
    await asked(kind === "older" ? [call("", 3)] : [], () => client.execute(text, [n]));
    await asked(kind === "older" ? [call("SELECT seq_1_to_5", 5)] : [], () => client.query("SELECT * FROM seq_1_to_5"));
  }
  await client.end();
}

main();
