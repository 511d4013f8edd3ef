// The same of amqp091-go: `rabbitmq PORT LOG TAG`. Goroutines share a connection, each with a channel
// of its own; several deliveries are settled at once.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	mutex sync.Mutex
	file  *os.File
	tag   string
)

type line map[string]any

func write(l line) {
	l["pid"] = os.Getpid()
	text, err := json.Marshal(l)
	must(err)
	mutex.Lock()
	defer mutex.Unlock()
	_, err = file.Write(append(text, '\n'))
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func now() int64 { return time.Now().UnixNano() }

func publish(channel *amqp.Channel, name string, size int, confirmed bool) {
	id := tag + "-" + name
	message := amqp.Publishing{MessageId: id, CorrelationId: "c-" + id, Body: make([]byte, size),
		Headers: amqp.Table{"token": "secret"}}
	start := now()
	waiting, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), tag+"-ex", "key", false, false, message)
	must(err)
	if confirmed {
		waiting.Wait()
	}
	write(line{"operation": "publish", "id": id, "size": size, "start": start, "end": now(), "error": nil,
		"destination": tag + "-ex:key", "confirmed": confirmed, "trace": nil})
}

func main() {
	port, log := os.Args[1], os.Args[2]
	tag = os.Args[3]
	var err error
	file, err = os.Create(log)
	must(err)
	connection, err := amqp.Dial(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%s/", port))
	must(err)
	time.Sleep(300 * time.Millisecond)
	channel, err := connection.Channel()
	must(err)
	must(channel.ExchangeDeclare(tag+"-ex", "direct", false, true, false, false, nil))
	_, err = channel.QueueDeclare(tag+"-q", false, false, false, false, nil)
	must(err)
	must(channel.QueueBind(tag+"-q", "key", tag+"-ex", false, nil))

	const workers, each = 4, 30
	sizes := []int{0, 9, 4000, 131000, 131072}
	var group sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			own, err := connection.Channel()
			must(err)
			confirmed := worker%2 == 0
			if confirmed {
				must(own.Confirm(false))
			}
			for n := 0; n < each; n++ {
				publish(own, fmt.Sprintf("w%d-%d", worker, n), sizes[n%len(sizes)], confirmed)
			}
			must(own.Close())
		}(worker)
	}
	group.Wait()

	must(channel.Qos(10, 0, false))
	deliveries, err := channel.Consume(tag+"-q", "", false, false, false, false, nil)
	must(err)
	var held []line
	for n := 1; n <= workers*each; n++ {
		delivery := <-deliveries
		held = append(held, line{"operation": "consume", "id": delivery.MessageId, "size": len(delivery.Body),
			"at": now(), "settled": "ack", "destination": tag + "-ex:key:" + tag + "-q",
			"tag": delivery.DeliveryTag, "redelivered": delivery.Redelivered, "trace": nil})
		if n%5 == 0 {
			start := now()
			must(delivery.Ack(true))
			end := now()
			for _, l := range held {
				l["start"], l["end"] = start, end
				write(l)
			}
			held = nil
		}
	}
	_, err = channel.QueueDelete(tag+"-q", false, false, false)
	must(err)
	must(connection.Close())
}
