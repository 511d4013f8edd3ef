// Calls of go-redis: `redis PORT LOG PROTOCOL TAG`; the log is that of workloads/redis/client.py.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

type line struct {
	Call      string  `json:"call"`
	Operation string  `json:"operation"`
	Size      *int    `json:"size"`
	Database  string  `json:"database"`
	Waits     bool    `json:"waits"`
	Error     *string `json:"error"`
	Failed    bool    `json:"failed"`
	Procedure *string `json:"procedure"`
	Start     int64   `json:"start"`
	End       int64   `json:"end"`
	Pid       int     `json:"pid"`
}

var (
	lock  sync.Mutex
	count int
	log   *os.File
	tag   = os.Args[4]
	ctx   = context.Background()
)

func word() string {
	lock.Lock()
	defer lock.Unlock()
	n := count
	count++
	return tag + string([]byte{byte('a' + n/676%26), byte('a' + n/26%26), byte('a' + n%26)})
}

// call makes a call of which a span is expected, and logs it.
func call(expected line, ask func(key string) error) {
	expected.Call = word()
	expected.Pid = os.Getpid()
	if expected.Database == "" {
		expected.Database = "0"
	}
	expected.Start = time.Now().UnixNano()
	err := ask("test:" + expected.Call)
	expected.End = time.Now().UnixNano()
	if err != nil && !errors.Is(err, redis.Nil) {
		code := strings.SplitN(err.Error(), " ", 2)[0]
		expected.Error, expected.Failed = &code, true
	}
	text, _ := json.Marshal(expected)
	lock.Lock()
	defer lock.Unlock()
	fmt.Fprintf(log, "%s\n", text)
}

func batch(client *redis.Client, transaction bool, commands ...string) func(string) error {
	return func(key string) error {
		pipe := client.Pipeline()
		if transaction {
			pipe = client.TxPipeline()
		}
		for _, command := range commands {
			var words []any
			for _, word := range strings.Fields(command) {
				words = append(words, strings.ReplaceAll(word, "KEY", key))
			}
			pipe.Do(ctx, words...)
		}
		_, err := pipe.Exec(ctx)
		return err
	}
}

func main() {
	protocol, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	log, err = os.Create(os.Args[2])
	if err != nil {
		panic(err)
	}
	network, address := "tcp", "127.0.0.1:"+os.Args[1]
	if socket, unix := os.LookupEnv("UNIX_SOCKET"); unix {
		network, address = "unix", socket
	}
	connect := func(database, pool int) *redis.Client {
		options := &redis.Options{Network: network, Addr: address, Protocol: protocol, DB: database, PoolSize: pool, MaxRetries: -1}
		if database > 0 {
			options.Username, options.Password = "app", "secret-password"
		}
		return redis.NewClient(options)
	}
	size := func(n int) *int { return &n }
	client := connect(0, 1)
	for n := 0; n < 50; n++ {
		call(line{Operation: "set"}, func(key string) error { return client.Set(ctx, key, "secret", 0).Err() })
		call(line{Operation: "get"}, func(key string) error { return client.Get(ctx, key).Err() })
	}
	call(line{Operation: "hset"}, func(key string) error { return client.HSet(ctx, key, "a", 1, "b", 2).Err() })
	call(line{Operation: "PIPELINE", Size: size(3)}, batch(client, false, "set KEY 1", "get KEY", "incr KEY"))
	call(line{Operation: "PIPELINE get", Size: size(500)}, batch(client, false, repeat("get KEY", 500)...))
	call(line{Operation: "PIPELINE set", Size: size(1000)}, batch(client, false, repeat("set KEY "+strings.Repeat("v", 80), 1000)...))
	call(line{Operation: "PIPELINE set", Size: size(1000)}, batch(client, false, repeat("set KEY "+strings.Repeat("v", 80), 1000)...))
	call(line{Operation: "MULTI", Size: size(3)}, batch(client, true, "set KEY 1", "get KEY", "incr KEY"))
	call(line{Operation: "MULTI set", Size: size(2)}, batch(client, true, "set KEY 1", "set KEY 2"))
	call(line{Operation: "PIPELINE", Size: size(2)}, batch(client, false, "set KEY x", "lpush KEY 1"))
	call(line{Operation: "blpop", Waits: true}, func(key string) error { return client.BLPop(ctx, time.Second, key).Err() })
	call(line{Operation: "set"}, func(key string) error { return client.Set(ctx, key, strings.Repeat("x", 1<<20), 0).Err() })
	digest := client.ScriptLoad(ctx, "return ARGV[1]").Val()
	call(line{Operation: "evalsha", Procedure: &digest}, func(key string) error {
		return client.EvalSha(ctx, digest, []string{key}, "secret").Err()
	})
	client.Close()
	other := connect(7, 4)
	var wait sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := 0; n < 100; n++ {
				call(line{Operation: "incr", Database: "7"}, func(key string) error { return other.Incr(ctx, key).Err() })
			}
		}()
	}
	wait.Wait()
	other.Close()
}

func repeat(command string, times int) []string {
	commands := make([]string, times)
	for n := range commands {
		commands[n] = command
	}
	return commands
}
