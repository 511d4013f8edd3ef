// A Go service that asks others while it answers. Usage: desk-go PORT; DOWN is the base URL of the other
// HTTP service, POSTGRES and REDIS the ports of servers (endpoints without one are not there).
//
// The id of each call begins with that of the request that it is made for.
package main

import (
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// databases has what adds the endpoints that ask one.
var databases []func()

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

// Nothing but one call: what bench asks for.
func once(call string) {
	ask(call, "one")
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

// Workers that end when nothing is left on their list, which is under a lock: they never wait.
type pile struct {
	lock    sync.Mutex
	jobs    []job
	workers int
}

var taken, popped pile

func (p *pile) put(job job, work func()) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.jobs = append(p.jobs, job)
	if p.workers < 4 {
		p.workers++
		go work()
	}
}

func (p *pile) take() {
	for {
		p.lock.Lock()
		if len(p.jobs) == 0 {
			p.workers--
			p.lock.Unlock()
			return
		}
		job := p.jobs[0]
		p.jobs = p.jobs[1:]
		p.lock.Unlock()
		ask(job.call, job.n)
		job.done.Done()
	}
}

func (p *pile) pop() (first job, found bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.jobs) == 0 {
		p.workers--
		return job{}, false
	}
	first = p.jobs[0]
	p.jobs = p.jobs[1:]
	return first, true
}

func (p *pile) takeAll() {
	for job, found := p.pop(); found; job, found = p.pop() {
		ask(job.call, job.n)
		job.done.Done()
	}
}

func piled(call string) {
	var group sync.WaitGroup
	group.Add(2)
	taken.put(job{call, "one", &group}, taken.take)
	popped.put(job{call, "two", &group}, popped.takeAll)
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
	serve("once", once)
	serve("work", work)
	serve("fan", fan)
	serve("after", after)
	serve("workers", func(call string) { hand(ready, call) })
	serve("lazy", lazy)
	serve("queued", queued)
	serve("piled", piled)
	serve("house", house)
	serve("timer", timer)
	for _, setUp := range databases {
		setUp()
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
