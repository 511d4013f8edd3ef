//! The suites, in the order in which they run.

use crate::Suite;

mod attribution;
mod cleanup;
mod database;
mod differential;
mod doctor;
mod elasticsearch;
mod foreign;
mod losses;
mod matrix;
mod metrics;
mod midlife;
mod mysql;
mod namespaces;
mod outage;
mod output;
mod overload;
mod postgres;
mod rabbitmq;
mod receivers;
mod record;
mod redis;
mod shapes;
mod small;
mod soak;
mod sockets;
mod timing;
mod unix;
mod usage;
mod volume;
mod workloads;

/// Every suite.
pub(crate) const ALL: &[Suite] = &[
    Suite {
        name: "workloads",
        about: "the programs and their logs work by themselves, without the agent",
        run: workloads::run,
        // The other suites check the same on the way; this one is for work on the programs.
        only_named: true,
    },
    suite("matrix", "every client, server and kind of answer, IPv4 and IPv6", matrix::run),
    suite("sockets", "every way of reading and writing a socket", sockets::run),
    suite("unix", "UNIX sockets: servers, clients, ways, ages and noise", unix::run),
    suite("shapes", "pipelines, early answers, upgrades, streams, no answers", shapes::run),
    suite("midlife", "connections older than the agent", midlife::run),
    suite("foreign", "TLS, other protocols and noise give no span", foreign::run),
    suite("timing", "durations are those that the client measured", timing::run),
    suite("namespaces", "client and server in two network namespaces", namespaces::run),
    suite("attribution", "calls hang under the request that they are made for", attribution::run),
    suite("goroutines", "the same of Go services, by their goroutines", attribution::go::run),
    suite("output", "text, JSON, filters, selection, service names", output::run),
    suite("postgres", "PostgreSQL: real clients, the server's own log, Wireshark", postgres::run),
    suite("mysql", "MariaDB: real clients, the server's own log, Wireshark", mysql::run),
    suite("rabbitmq", "RabbitMQ: real clients, their logs the truth", rabbitmq::run),
    suite(
        "broker",
        "RabbitMQ restarts and crashes, consumers are killed, mistakes are refused",
        rabbitmq::trouble::run,
    ),
    suite(
        "senders",
        "RabbitMQ: messages that look alike, and who sent them",
        rabbitmq::senders::run,
    ),
    suite(
        "consumers",
        "RabbitMQ: what is asked for a message hangs under it, or under nothing",
        rabbitmq::consumers::run,
    ),
    suite("differential", "captures, replayed, against Wireshark", differential::run),
    suite("record", "a recorded run, replayed: the same spans, one to one", record::run),
    suite("receivers", "OTLP over gRPC and HTTP, ours and a foreign receiver", receivers::run),
    suite("outage", "the receiver goes away under load", outage::run),
    suite("redis", "redis-py and go-redis, RESP2 and RESP3, by the server's own count", redis::run),
    suite(
        "elasticsearch",
        "OpenSearch: real clients, those that say nothing of it, its own counters",
        elasticsearch::run,
    ),
    suite(
        "losses",
        "a ring that overflows: every call is there or counted, by connection",
        losses::run,
    ),
    suite("metrics", "what Prometheus is told, whoever else asks", metrics::run),
    suite("cleanup", "nothing stays behind, after SIGTERM, SIGINT and SIGKILL", cleanup::run),
    suite("usage", "errors: one clear line and the right exit code", usage::run),
    Suite {
        name: "small",
        about: "a cut of matrix, sockets and doctor, for other kernels and slow machines",
        run: small::run,
        only_named: true,
    },
    suite("doctor", "what works here is said, each lack with its remedy", doctor::run),
    suite(
        "overload",
        "too little processor time, too many connections: exact to the call",
        overload::run,
    ),
    suite("soak", "processes, connections and receivers come and go: nothing grows", soak::run),
    suite("volume", "3 MB, slow readers, 10,000 calls on a connection, wrk", volume::run),
];

const fn suite(name: &'static str, about: &'static str, run: crate::Run) -> Suite {
    Suite { name, about, run, only_named: false }
}
