// Calls of Go's net/http: search PORT LOG TAG. It asks for / first: from there on the server is known.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type line struct {
	Call      string  `json:"call"`
	System    string  `json:"system"`
	Operation string  `json:"operation"`
	Index     *string `json:"index"`
	Size      *int    `json:"size"`
	Text      *string `json:"text"`
	Status    int     `json:"status"`
	Pid       int     `json:"pid"`
	Start     int64   `json:"start"`
	End       int64   `json:"end"`
}

var made int

func main() {
	port, tag := os.Args[1], os.Args[3]
	file, err := os.Create(os.Args[2])
	check(err)
	index := "products-" + tag
	// An io.Reader without a length: chunked.
	ask := func(l line, method, path string, body io.Reader) {
		l.Call = fmt.Sprintf("%s%c%c%c", tag, 'a'+made/676, 'a'+made/26%26, 'a'+made%26)
		made++
		l.System, l.Pid = "opensearch", os.Getpid()
		request, err := http.NewRequest(method, "http://127.0.0.1:"+port+path+"?filter_path=-"+l.Call, body)
		check(err)
		if body != nil {
			request.Header.Set("Content-Type", "application/json")
		}
		l.Start = time.Now().UnixNano()
		answer, err := http.DefaultClient.Do(request)
		check(err)
		_, err = io.Copy(io.Discard, answer.Body)
		check(err)
		answer.Body.Close()
		l.End = time.Now().UnixNano()
		if answer.StatusCode != l.Status {
			panic(fmt.Sprint(method, path, answer.StatusCode))
		}
		check(json.NewEncoder(file).Encode(l))
	}
	query := `{"query": {"match": {"name": "secret"}}, "size": 3}`
	text := `{"query":{"match":{"name":?}},"size":?}`
	bulk, size := strings.Repeat("{\"create\":{}}\n{\"name\":\"secret\"}\n", 30), 30

	ask(line{Operation: "info", Status: 200}, "GET", "/", nil)
	ask(line{Operation: "indices.create", Index: &index, Status: 200}, "PUT", "/"+index, nil)
	ask(line{Operation: "bulk create", Index: &index, Size: &size, Status: 200}, "POST", "/"+index+"/_bulk", strings.NewReader(bulk))
	ask(line{Operation: "bulk create", Index: &index, Size: &size, Status: 200}, "POST", "/"+index+"/_bulk", io.MultiReader(strings.NewReader(bulk[:100]), strings.NewReader(bulk[100:])))
	for n := 0; n < 10; n++ {
		ask(line{Operation: "search", Index: &index, Text: &text, Status: 200}, "POST", "/"+index+"/_search", strings.NewReader(query))
	}
	ask(line{Operation: "search", Index: &index, Text: &text, Status: 200}, "POST", "/"+index+"/_search", io.MultiReader(strings.NewReader(query)))
	ask(line{Operation: "get", Index: &index, Status: 404}, "GET", "/"+index+"/_doc/none", nil)
	ask(line{Operation: "indices.delete", Index: &index, Status: 200}, "DELETE", "/"+index, nil)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
