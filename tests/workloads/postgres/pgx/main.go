// pgx: statements named after a hash of their text, batches in one go, COPY in binary.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type call struct {
	Summary  string  `json:"summary"`
	Returned *int    `json:"returned"`
	Affected *int    `json:"affected"`
	Code     *string `json:"code"`
	Batch    *int    `json:"batch"`
	Long     bool    `json:"long"`
}

type line struct {
	Pid   int    `json:"pid"`
	Port  int    `json:"port"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Calls []call `json:"calls"`
}

func main() {
	ctx := context.Background()
	file, err := os.Create(os.Args[2])
	check(err)
	host := "127.0.0.1"
	socket, unix := os.LookupEnv("UNIX_SOCKET")
	if unix {
		host = filepath.Dir(socket)
	}
	connection, err := pgx.Connect(ctx, "user=postgres dbname=postgres host="+host+" port="+os.Args[1])
	check(err)
	port := int(connection.PgConn().PID())
	if !unix {
		port = connection.PgConn().Conn().LocalAddr().(*net.TCPAddr).Port
	}

	asked := func(work func() error, calls ...call) {
		start := time.Now().UnixNano()
		err := work()
		end := time.Now().UnixNano()
		text, _ := json.Marshal(line{os.Getpid(), port, start, end, calls})
		_, writing := file.Write(append(text, '\n'))
		check(writing)
		var expected string
		for _, call := range calls {
			if call.Code != nil {
				expected = *call.Code
			}
		}
		var failed *pgconn.PgError
		if errors.As(err, &failed) && failed.Code == expected {
			return
		}
		check(err)
	}
	exec := func(sql string, arguments ...any) func() error {
		return func() error { _, err := connection.Exec(ctx, sql, arguments...); return err }
	}
	query := func(sql string, arguments ...any) func() error {
		return func() error {
			rows, err := connection.Query(ctx, sql, arguments...)
			if err != nil {
				return err
			}
			found := int64(0)
			for rows.Next() {
				found++
			}
			if said := rows.CommandTag().RowsAffected(); rows.Err() == nil && said != found {
				log.Fatalf("%d rows, the server says %d", found, said)
			}
			return rows.Err()
		}
	}
	n := func(n int) *int { return &n }
	code := func(code string) *string { return &code }

	asked(exec("CREATE TABLE gx (id int PRIMARY KEY, name text)"), call{Summary: "CREATE TABLE gx"})
	asked(exec("begin"), call{Summary: "begin"})
	for i := range 5 {
		asked(exec("INSERT INTO gx VALUES ($1, $2)", i, "secret"), call{Summary: "INSERT gx", Affected: n(1)})
	}
	asked(exec("commit"), call{Summary: "commit"})
	for i := range 100 {
		asked(query("SELECT name FROM gx WHERE id = $1", i%5), call{Summary: "SELECT gx", Returned: n(1)})
	}
	asked(exec("INSERT INTO gx VALUES ($1, $2)", 1, "secret"), call{Summary: "INSERT gx", Code: code("23505")})
	asked(exec("SELECT * FROM nowhere WHERE id = $1", 1), call{Summary: "SELECT nowhere", Code: code("42P01")})
	asked(func() error {
		batch := &pgx.Batch{}
		batch.Queue("SELECT * FROM gx WHERE id = $1", 1)
		batch.Queue("UPDATE gx SET name = $1 WHERE id > 2", "secret")
		batch.Queue("SELECT * FROM gx WHERE id >= $1", 0)
		return connection.SendBatch(ctx, batch).Close()
	}, call{Summary: "SELECT gx", Returned: n(1)}, call{Summary: "UPDATE gx", Affected: n(2)}, call{Summary: "SELECT gx", Returned: n(5)})
	asked(func() error {
		batch := &pgx.Batch{}
		for i := range 50 {
			batch.Queue("INSERT INTO gx VALUES ($1, $2)", 100+i, "secret")
		}
		return connection.SendBatch(ctx, batch).Close()
	}, call{Summary: "INSERT gx", Affected: n(50), Batch: n(50)})
	asked(query("SELECT repeat('x', 1000) FROM generate_series(1, $1::int)", 20000), call{Summary: "SELECT generate_series", Returned: n(20000), Long: true})
	asked(query("SELECT n FROM generate_series(1, $1::int) n", 100000), call{Summary: "SELECT generate_series", Returned: n(100000), Long: true})
	asked(func() error {
		rows := [][]any{}
		for i := range 100000 {
			rows = append(rows, []any{1000 + i, "secret"})
		}
		_, err := connection.CopyFrom(ctx, pgx.Identifier{"gx"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
		return err
	}, call{Summary: `copy "gx"`, Affected: n(100000)})
	check(connection.Close(ctx))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
