// Many connections, each with a log of its own.
// Usage: load ADDRESS LOG CONNECTIONS SECONDS PAUSE_MS TARGET CALL [hold]
//
// Every connection asks for TARGET, in which {} stands for CALL.CONNECTION.NUMBER, one call after
// the other with a pause in between, and is closed in the end; with "hold", not before SIGTERM. The
// log, which is there when all calls are made, has a line for each connection: how many calls it
// made, numbered from 0, and the port that it made them from.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Line is what became of one connection.
type Line struct {
	Connection int `json:"connection"`
	Port       int `json:"port"`
	Calls      int `json:"calls"`
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	fatal(err)
	return n
}

func main() {
	address, connections := os.Args[1], number(os.Args[3])
	pattern, call := os.Args[6], os.Args[7]
	seconds := time.Duration(number(os.Args[4])) * time.Second
	pause := time.Duration(number(os.Args[5])) * time.Millisecond

	over := make(chan os.Signal, 1)
	if hold := len(os.Args) > 8 && os.Args[8] == "hold"; hold {
		signal.Notify(over, syscall.SIGTERM)
	} else {
		close(over)
	}

	lines := make([]Line, connections)
	open := make([]net.Conn, connections)
	var opened, done sync.WaitGroup
	begin := make(chan struct{})
	opened.Add(connections)
	done.Add(connections)
	for n := range lines {
		go func(n int) {
			defer done.Done()
			connection, err := net.Dial("tcp", address)
			fatal(err)
			open[n] = connection
			lines[n] = Line{Connection: n, Port: connection.LocalAddr().(*net.TCPAddr).Port}
			opened.Done()
			<-begin
			// Not all in the same instant.
			time.Sleep(time.Duration(rand.Int63n(int64(pause) + 1)))
			reader := bufio.NewReader(connection)
			for end := time.Now().Add(seconds); time.Now().Before(end); time.Sleep(pause) {
				id := fmt.Sprintf("%s.%d.%d", call, n, lines[n].Calls)
				target := strings.ReplaceAll(pattern, "{}", id)
				_, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, address)
				fatal(err)
				response, err := http.ReadResponse(reader, nil)
				fatal(err)
				if response.StatusCode != 200 {
					log.Fatal(response.Status)
				}
				_, err = io.Copy(io.Discard, response.Body)
				fatal(err)
				lines[n].Calls++
			}
		}(n)
		if n%100 == 99 {
			time.Sleep(10 * time.Millisecond) // a listener's queue is short
		}
	}
	opened.Wait()
	close(begin)
	done.Wait()

	out, err := os.Create(os.Args[2] + ".part")
	fatal(err)
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	for _, line := range lines {
		fatal(encoder.Encode(line))
	}
	fatal(buffered.Flush())
	fatal(out.Close())
	fatal(os.Rename(os.Args[2]+".part", os.Args[2]))
	<-over
	for _, connection := range open {
		fatal(connection.Close())
	}
}
