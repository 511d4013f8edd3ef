// go-sql-driver: statements with values are prepared, executed and closed one by one.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
)

type call struct {
	Summary   string  `json:"summary"`
	Operation *string `json:"operation"`
	Namespace string  `json:"namespace"`
	Returned  *int    `json:"returned"`
	Affected  *int    `json:"affected"`
	Code      *string `json:"code"`
	Batch     *int    `json:"batch"`
	Long      bool    `json:"long"`
	Logged    bool    `json:"logged"`
	// The server does not log what it refuses to prepare.
	unlogged bool
}

type line struct {
	Pid        int    `json:"pid"`
	Connection int    `json:"connection"`
	Start      int64  `json:"start"`
	End        int64  `json:"end"`
	Calls      []call `json:"calls"`
}

func main() {
	ctx := context.Background()
	file, err := os.Create(os.Args[2])
	check(err)
	server := "tcp(127.0.0.1:" + os.Args[1] + ")"
	if socket, unix := os.LookupEnv("UNIX_SOCKET"); unix {
		server = "unix(" + socket + ")"
	}
	pool, err := sql.Open("mysql", "app:secret@"+server+"/shop?multiStatements=true")
	check(err)
	connection, err := pool.Conn(ctx)
	check(err)
	number := 0

	asked := func(work func() error, calls ...call) {
		start := time.Now().UnixNano()
		err := work()
		end := time.Now().UnixNano()
		if calls == nil {
			calls = []call{}
		}
		var expected string
		for n := range calls {
			calls[n].Namespace = "shop"
			calls[n].Logged = !calls[n].unlogged
			if calls[n].Code != nil {
				expected = *calls[n].Code
			}
		}
		text, _ := json.Marshal(line{os.Getpid(), number, start, end, calls})
		_, writing := file.Write(append(text, '\n'))
		check(writing)
		var failed *mysql.MySQLError
		if errors.As(err, &failed) && strconv.Itoa(int(failed.Number)) == expected {
			return
		}
		check(err)
		if expected != "" {
			log.Fatal("no error ", expected)
		}
	}
	exec := func(sql string, arguments ...any) func() error {
		return func() error { _, err := connection.ExecContext(ctx, sql, arguments...); return err }
	}
	drain := func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		for rows.Next() || rows.NextResultSet() {
		}
		return rows.Err()
	}
	query := func(sql string, arguments ...any) func() error {
		return func() error { return drain(connection.QueryContext(ctx, sql, arguments...)) }
	}
	n := func(n int) *int { return &n }
	code := func(code string) *string { return &code }
	s := func(summary string, rows int) call { return call{Summary: summary, Returned: n(rows)} }

	start := time.Now().UnixNano()
	check(connection.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&number))
	first := s("SELECT", 1)
	first.Namespace, first.Logged = "shop", true
	text, _ := json.Marshal(line{os.Getpid(), number, start, time.Now().UnixNano(), []call{first}})
	_, err = file.Write(append(text, '\n'))
	check(err)

	asked(exec("CREATE TABLE go (id INT PRIMARY KEY, name TEXT)"), call{Summary: "CREATE TABLE go"})
	asked(exec("START TRANSACTION"), call{Summary: "START"})
	for i := range 5 {
		asked(exec("INSERT INTO go VALUES (?, ?)", i, "secret"), call{Summary: "INSERT go", Affected: n(1)})
	}
	asked(exec("COMMIT"), call{Summary: "COMMIT"})
	var statement *sql.Stmt
	asked(func() (err error) {
		statement, err = connection.PrepareContext(ctx, "SELECT name FROM go WHERE id >= ?")
		return err
	})
	for i := range 100 {
		asked(func() error { return drain(statement.QueryContext(ctx, i%5)) }, s("SELECT go", 5-i%5))
	}
	asked(statement.Close)
	asked(exec("INSERT INTO go VALUES (?, ?)", 1, "secret"), call{Summary: "INSERT go", Code: code("1062")})
	asked(query("SELECT * FROM nowhere WHERE id = ?", 1), call{Summary: "SELECT nowhere", Code: code("1146"), unlogged: true})
	asked(query("SELECT * FROM nowhere"), call{Summary: "SELECT nowhere", Code: code("1146")})
	asked(query("SELECT * FROM go; UPDATE go SET name = 'other'; SELECT 1"),
		call{Summary: "SELECT go UPDATE go SELECT", Returned: n(6), Affected: n(5), Batch: n(3)})
	asked(query("SELECT REPEAT('x', 1000) FROM seq_1_to_20000 WHERE seq > ?", 0),
		call{Summary: "SELECT seq_1_to_20000", Returned: n(20000), Long: true})
	asked(query("SELECT REPEAT('x', 1000) FROM seq_1_to_20000"),
		call{Summary: "SELECT seq_1_to_20000", Returned: n(20000), Long: true})
	asked(func() error { return connection.PingContext(ctx) })
	// Given back and taken again, the session is checked first.
	check(connection.Close())
	connection, err = pool.Conn(ctx)
	check(err)
	asked(query("SELECT * FROM go WHERE name <> 'secret'"), s("SELECT go", 5))
	// More than goes into a packet.
	long := make([]byte, 17_000_000)
	asked(query("SELECT LENGTH(?)", long), s("SELECT", 1))
	check(connection.Close())
	check(pool.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
