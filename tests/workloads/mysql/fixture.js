// The second half of what agent/tests/fixtures/mysql.rec is a recording of. Arguments: PORT.
const mysql = require("mysql2/promise");

async function main() {
  const port = Number(process.argv[2]);
  const client = await mysql.createConnection({ host: "127.0.0.1", port, user: "app", password: "secret", database: "shop" });
  const execute = (...parameters) => client.execute(...parameters).catch(() => null);
  for (let n = 0; n < 20; n++) {
    await execute("SELECT name FROM fix WHERE id = ?", [n]);
    await execute("UPDATE fix SET name = ? WHERE id = ?", ["secret" + n, n]);
  }
  await execute("INSERT INTO fix VALUES (?, ?)", [1, "secret"]);
  await execute("SELECT * FROM nowhere WHERE id = ?", [1]);
  await Promise.all(Array.from({ length: 10 }, () => execute("SELECT * FROM fix WHERE id > ?", [150])));
  await client.query("DELETE FROM fix");
  await client.end();
}

main();
