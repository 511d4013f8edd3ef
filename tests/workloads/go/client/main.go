// Go's http.Client, one transport (and so one connection per host) for each worker.
// Usage: client PLAN LOG CONCURRENCY [close]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Line is one entry of the log.
type Line struct {
	Call     string `json:"call"`
	Method   string `json:"method"`
	URL      string `json:"url"`
	Status   int    `json:"status"`
	Sent     int    `json:"sent"`
	Received int64  `json:"received"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
	Pid      int    `json:"pid"`
	Port     int    `json:"port,omitempty"`
	Worker   int    `json:"worker"`
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func run(client *http.Client, fields []string, worker int) (Line, time.Duration) {
	size, err := strconv.Atoi(fields[3])
	fatal(err)
	var body io.Reader
	if size > 0 {
		body = strings.NewReader(strings.Repeat("x", size))
		if strings.Contains(fields[4], "chunked") {
			body = io.MultiReader(body) // hides the length
		}
	}
	request, err := http.NewRequest(fields[1], fields[2], body)
	fatal(err)
	var pause time.Duration
	for _, flag := range strings.Split(fields[4], ",") {
		key, value, _ := strings.Cut(flag, "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "expect":
			request.Header.Set("Expect", "100-continue")
		case "pad":
			for n := 0; n < number/4000; n++ {
				request.Header.Set(fmt.Sprintf("X-Pad-%d", n), strings.Repeat("p", 4000))
			}
		case "pause":
			pause = time.Duration(number) * time.Millisecond
		}
	}
	port := 0
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			// A UNIX socket has none.
			if local, ok := info.Conn.LocalAddr().(*net.TCPAddr); ok {
				port = local.Port
			}
		},
	}))
	start := time.Now().UnixNano()
	response, err := client.Do(request)
	fatal(err)
	received, err := io.Copy(io.Discard, response.Body)
	fatal(err)
	end := time.Now().UnixNano()
	fatal(response.Body.Close())
	return Line{fields[0], fields[1], fields[2], response.StatusCode, size, received, start, end, os.Getpid(), port, worker}, pause
}

func main() {
	plan, err := os.Open(os.Args[1])
	fatal(err)
	out, err := os.Create(os.Args[2])
	fatal(err)
	concurrency, err := strconv.Atoi(os.Args[3])
	fatal(err)
	noKeepAlive := len(os.Args) > 4 && os.Args[4] == "close"

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(plan)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-stop:
				return
			}
		}
	}()

	var done sync.WaitGroup
	var mutex sync.Mutex
	buffered := bufio.NewWriterSize(out, 1<<20)
	encoder := json.NewEncoder(buffered)
	for n := 0; n < concurrency; n++ {
		done.Add(1)
		go func(worker int) {
			defer done.Done()
			transport := &http.Transport{DisableKeepAlives: noKeepAlive, ExpectContinueTimeout: 5 * time.Second}
			if at := os.Getenv("UNIX_SOCKET"); at != "" {
				transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "unix", at)
				}
			}
			client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
			for line := range lines {
				entry, pause := run(client, strings.Split(line, "\t"), worker)
				mutex.Lock()
				fatal(encoder.Encode(entry))
				if pause > 0 {
					fatal(buffered.Flush()) // somebody is watching how far it came
				}
				mutex.Unlock()
				time.Sleep(pause)
			}
		}(n)
	}
	done.Wait()
	fatal(buffered.Flush())
}
