// Endpoints that ask databases.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

func init() {
	databases = append(databases, func() {
		if port := os.Getenv("POSTGRES"); port != "" {
			url := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
			db, err := sql.Open("postgres", url)
			if err != nil {
				log.Fatal(err)
			}
			db.SetMaxOpenConns(pool)
			db.SetMaxIdleConns(pool)
			serve("pq", func(call string) { pq(db, call) })
			other, err := pgxpool.New(context.Background(), fmt.Sprintf("%s&pool_max_conns=%d", url, pool))
			if err != nil {
				log.Fatal(err)
			}
			serve("pgx", func(call string) { pgxPool(other, call) })
		}
		if port := os.Getenv("REDIS"); port != "" {
			db := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, PoolSize: pool, Protocol: 2, PoolTimeout: time.Minute})
			serve("redis", func(call string) { cached(db, call) })
		}
	})
}

func statement(call, n string) string {
	return fmt.Sprintf(`SELECT 1 AS "call=%s.%s"`, others(call), n)
}

// atOnce does each piece of work in a goroutine of its own, and waits for all of them.
func atOnce(work ...func()) {
	var group sync.WaitGroup
	for _, one := range work {
		group.Add(1)
		go func() {
			defer group.Done()
			one()
		}()
	}
	group.Wait()
}

func pq(db *sql.DB, call string) {
	for _, n := range []string{"one", "two"} {
		var one int
		if err := db.QueryRow(statement(call, n)).Scan(&one); err != nil {
			log.Print(err)
		}
		rest(call, n)
	}
	atOnce(func() {
		if _, err := db.Exec(statement(call, "three")); err != nil {
			log.Print(err)
		}
	})
}

func pgxPool(db *pgxpool.Pool, call string) {
	ask := func(n string) func() {
		return func() {
			rows, err := db.Query(context.Background(), statement(call, n))
			if err == nil {
				_, err = pgx.CollectRows(rows, pgx.RowTo[int])
			}
			if err != nil {
				log.Print(err)
			}
		}
	}
	atOnce(ask("one"), ask("two"), ask("three"))
}

var (
	naming sync.Mutex
	names  int
)

// key names a call by a word, because numbers are not shown, and says which: `WORD CALL`.
func key(call, n string) string {
	naming.Lock()
	defer naming.Unlock()
	word := []byte("desk")
	for rest := names; len(word) < 8; rest /= 26 {
		word = append(word, byte('a'+rest%26))
	}
	names++
	fmt.Printf("%s %s.%s\n", word, others(call), n)
	return string(word)
}

func cached(db *redis.Client, call string) {
	ctx := context.Background()
	for _, n := range []string{"one", "two"} {
		if err := db.Get(ctx, key(call, n)).Err(); err != nil && err != redis.Nil {
			log.Print(err)
		}
		rest(call, n)
	}
	atOnce(func() {
		if err := db.Set(ctx, key(call, "three"), "x", 0).Err(); err != nil {
			log.Print(err)
		}
	})
}
