// A Go service that asks another one while it answers: goroutines change threads whenever they wait.
// Usage: desk PORT; DOWN is the base URL of the other one.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 8, MaxIdleConnsPerHost: 8}}

// others is the id of another request, if ids are permuted: the last digit is one higher.
func others(call string) string {
	if os.Getenv("PERMUTED") == "" {
		return call
	}
	last := len(call) - 1
	return call[:last] + string('0'+(call[last]-'0'+1)%10)
}

func ask(call, n string) error {
	res, err := client.Get(os.Getenv("DOWN") + "/bytes/10?call=" + others(call) + "." + n)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func main() {
	http.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		call := r.URL.Query().Get("call")
		for _, n := range []string{"one", "two", "three"} {
			if err := ask(call, n); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			time.Sleep(time.Duration(len(call)%8) * time.Millisecond)
		}
		io.WriteString(w, "{}")
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
