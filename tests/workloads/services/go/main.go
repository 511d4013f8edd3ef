// A Go service that asks others while it answers. Usage: desk-go PORT; DOWN is the base URL of the other
// HTTP service, POSTGRES and REDIS the ports of servers (endpoints without one are not there).
//
// The id of each call begins with that of the request that it is made for.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

// Every client has a pool of so many connections.
const pool = 8

var client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: pool, MaxIdleConnsPerHost: pool}}

// others is the id of another request, if ids are permuted: the last digit is one higher.
func others(call string) string {
	if os.Getenv("PERMUTED") == "" {
		return call
	}
	last := len(call) - 1
	return call[:last] + string('0'+(call[last]-'0'+1)%10)
}

func ask(call, n string) {
	res, err := client.Get(os.Getenv("DOWN") + "/bytes/10?call=" + others(call) + "." + n)
	if err != nil {
		log.Print(err)
		return
	}
	defer res.Body.Close()
	if _, err = io.Copy(io.Discard, res.Body); err != nil {
		log.Print(err)
	}
}

// rest takes up to 8 ms, another for each call.
func rest(call, n string) {
	time.Sleep(time.Duration(crc32.ChecksumIEEE([]byte(call+n))%8) * time.Millisecond)
}

// One after the other, with pauses.
func work(call string) {
	ask(call, "one")
	rest(call, "one")
	ask(call, "two")
	rest(call, "two")
	ask(call, "three")
}

// Some at once.
func fan(call string) {
	ask(call, "one")
	rest(call, "one")
	var group sync.WaitGroup
	for _, n := range []string{"two", "three", "four"} {
		group.Add(1)
		go func(n string) {
			defer group.Done()
			ask(call, n)
		}(n)
	}
	group.Wait()
	ask(call, "five")
}

// What goes on after the answer.
func after(call string) {
	ask(call, "one")
	go func() {
		ask(call, "two")
		ask(call, "three")
	}()
}

type job struct {
	call, n string
	done    *sync.WaitGroup
}

func worker(jobs chan job) {
	for job := range jobs {
		ask(job.call, job.n)
		job.done.Done()
	}
}

func hand(jobs chan job, call string) {
	var group sync.WaitGroup
	group.Add(2)
	jobs <- job{call, "one", &group}
	jobs <- job{call, "two", &group}
	group.Wait()
}

var (
	ready   = make(chan job)
	later   = make(chan job, 64)
	started sync.Mutex
	workers int
)

// Workers that the first requests start serve all others, too.
func lazy(call string) {
	started.Lock()
	if workers < 16 {
		workers++
		go worker(later)
	}
	started.Unlock()
	hand(later, call)
}

// Workers that wait in a way of their own.
type queue struct {
	lock sync.Mutex
	more *sync.Cond
	jobs []job
	take int
}

var list = func() *queue {
	q := &queue{}
	q.more = sync.NewCond(&q.lock)
	return q
}()

func (q *queue) work() {
	for {
		q.lock.Lock()
		for len(q.jobs) == 0 {
			q.more.Wait()
		}
		job := q.jobs[0]
		q.jobs = q.jobs[1:]
		q.lock.Unlock()
		ask(job.call, job.n)
		job.done.Done()
	}
}

func queued(call string) {
	var group sync.WaitGroup
	group.Add(2)
	list.lock.Lock()
	if list.take < 16 {
		list.take++
		go list.work()
	}
	list.jobs = append(list.jobs, job{call, "one", &group}, job{call, "two", &group})
	list.more.Broadcast()
	list.lock.Unlock()
	group.Wait()
}

var housekeeper sync.Once

// A background loop that the first request starts: what it asks is nobody's. Its calls are those of an
// endpoint that nobody asks for.
func house(call string) {
	housekeeper.Do(func() {
		own := strings.Replace(call, ".house.", ".loop.", 1)
		go func() {
			for n := 1; ; n++ {
				time.Sleep(3 * time.Millisecond)
				ask(own, fmt.Sprint(n))
			}
		}()
	})
	ask(call, "one")
}

func timer(call string) {
	done := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() {
		ask(call, "one")
		close(done)
	})
	<-done
	ask(call, "two")
}

func statement(call, n string) string {
	return fmt.Sprintf(`SELECT 1 AS "call=%s.%s"`, others(call), n)
}

func pq(db *sql.DB, call string) {
	for _, n := range []string{"one", "two"} {
		var one int
		if err := db.QueryRow(statement(call, n)).Scan(&one); err != nil {
			log.Print(err)
		}
		rest(call, n)
	}
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		if _, err := db.Exec(statement(call, "three")); err != nil {
			log.Print(err)
		}
	}()
	group.Wait()
}

func pgxPool(db *pgxpool.Pool, call string) {
	var group sync.WaitGroup
	for _, n := range []string{"one", "two", "three"} {
		group.Add(1)
		go func(n string) {
			defer group.Done()
			rows, err := db.Query(context.Background(), statement(call, n))
			if err == nil {
				_, err = pgx.CollectRows(rows, pgx.RowTo[int])
			}
			if err != nil {
				log.Print(err)
			}
		}(n)
	}
	group.Wait()
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
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		if err := db.Set(ctx, key(call, "three"), "x", 0).Err(); err != nil {
			log.Print(err)
		}
	}()
	group.Wait()
}

func serve(name string, work func(call string)) {
	http.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
		work(r.URL.Query().Get("call"))
		io.WriteString(w, "{}")
	})
}

func main() {
	for n := 0; n < 16; n++ {
		go worker(ready)
	}
	serve("work", work)
	serve("fan", fan)
	serve("after", after)
	serve("workers", func(call string) { hand(ready, call) })
	serve("lazy", lazy)
	serve("queued", queued)
	serve("house", house)
	serve("timer", timer)
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
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
