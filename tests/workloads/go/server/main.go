// Go's net/http server. Usage: server PORT|PATH|@NAME
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func respond(w http.ResponseWriter, r *http.Request) {
	received, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	send := func(status int, body string) {
		if status != 204 && status != 304 {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch parts[0] {
	case "bytes":
		send(200, strings.Repeat("x", number(parts[1])))
	case "chunked":
		w.WriteHeader(200)
		for left := number(parts[1]); left > 0; left -= 1000 {
			n := left
			if n > 1000 {
				n = 1000
			}
			io.WriteString(w, strings.Repeat("x", n))
			w.(http.Flusher).Flush()
		}
	case "echo":
		send(200, strings.Repeat("x", int(received)))
	case "status":
		body := "status\n"
		if parts[1] == "204" || parts[1] == "304" {
			body = ""
		}
		send(number(parts[1]), body)
	case "redirect":
		w.Header().Set("Location", "/bytes/10?call="+r.URL.Query().Get("call")+".r")
		send(302, "")
	case "delay":
		time.Sleep(time.Duration(number(parts[1])) * time.Millisecond)
		send(200, "delayed\n")
	case "sse":
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; n < number(parts[1]); n++ {
			if n > 0 {
				time.Sleep(time.Duration(number(parts[2])) * time.Millisecond)
			}
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
		}
	case "pad":
		for left, n := number(parts[1]), 0; left > 0; left, n = left-4000, n+1 {
			size := left
			if size > 4000 {
				size = 4000
			}
			w.Header().Set(fmt.Sprintf("X-Pad-%d", n), strings.Repeat("p", size))
		}
		send(200, "ok")
	default:
		send(404, "unknown")
	}
}

func main() {
	if at := os.Args[1]; strings.ContainsAny(at[:1], "/@") {
		listener, err := net.Listen("unix", at)
		if err != nil {
			log.Fatal(err)
		}
		log.Fatal(http.Serve(listener, http.HandlerFunc(respond)))
	}
	// An empty host listens on both families (and, on current Go, with multipath TCP).
	log.Fatal(http.ListenAndServe(":"+os.Args[1], http.HandlerFunc(respond)))
}
