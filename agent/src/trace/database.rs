//! Database calls as spans: semantic conventions 1.44 for databases, with the choices of this
//! project.
//!
//! - A span is the client's: the conventions know no server span. Where only the server's end of a
//!   connection is on this host, the call has no span here; it has one where its client runs.
//! - `db.query.text` is masked also where it has parameters: a literal beside them is as secret.
//! - `db.operation.name` and `db.collection.name` come from the text where all of it was seen and
//!   there is one operation on one table. The conventions advise against taking them from there
//!   because a text may have several; such a text has neither attribute here.
//! - `db.response.returned_rows` counts rows that came back, `tracebee.db.affected_rows` rows that
//!   were written.
//! - `tracebee.db.response_cut`: not all of the answer was seen. Rows that are told are all; where none
//!   are, they are unknown, and so is an error that came late in it. A warning may be missing in any
//!   case.
//! - `tracebee.db.waits`: the call waits, on purpose, until something happens (`BLPOP`). It is not
//!   slow, whatever `--slow` says, and no answer within `--request-timeout` is not an error of it.
//! - `tracebee.trimmed`: the text was left out under load.
//! - A call that another, sent along with it, kept from being carried out has the `error.type`
//!   `skipped`. One whose failure has no code has `_OTHER`.

use std::sync::Arc;

use super::{Attributes, Described, Known, MAX_TEXT, Tracer, bounded};
use crate::protocol::database::{Batches, Request, Response};
use crate::value::Value;

/// Attributes of a span that has them all.
const CAPACITY: usize = 20;

/// The attribute of a call that waits until something happens (`BLPOP`): it takes long, and is not
/// slow.
pub const WAITS: &str = "tracebee.db.waits";

/// Describes a call.
pub(super) fn describe(
    tracer: &mut Tracer,
    request: &Request,
    response: Option<&Response>,
    call: &Known<'_>,
) -> Described {
    let statement = request.statement.as_deref();
    let batch = batch(request);
    let command = response.and_then(|response| response.command.as_deref());
    let operation: Option<Arc<str>> = match (statement, request.operation) {
        (Some(statement), _) => statement.operation.clone(),
        (None, Some(operation)) => Some(operation.into()),
        (None, None) => command.map(Into::into),
    };
    let collection = statement.and_then(|statement| statement.collection.as_ref());
    let procedure = statement.and_then(|statement| statement.procedure.as_ref());
    let summary = statement.map(|statement| &statement.summary).filter(|text| !text.is_empty());
    let operation = match (batch, operation) {
        (Some(_), operation) if request.system.batches == Batches::Named => operation,
        (Some(_), Some(operation)) => Some(format!("BATCH {operation}").into()),
        (Some(_), None) => Some("BATCH".into()),
        (None, operation) => operation,
    };

    let mut attributes = Attributes::with_capacity(CAPACITY);
    attributes.push(("db.system.name", Value::Static(request.system.name)));
    let namespace = request.namespace.as_ref();
    attributes.extend(namespace.map(|name| ("db.namespace", Value::Shared(Arc::clone(name)))));
    if let Some(statement) = statement.filter(|statement| !statement.text.is_empty()) {
        let text = match statement.text.len() {
            ..=MAX_TEXT => Value::Shared(Arc::clone(&statement.text)),
            _ => Value::Text(bounded((&*statement.text).into(), MAX_TEXT)),
        };
        attributes.push(("db.query.text", text));
    }
    let texts = [
        ("db.query.summary", summary),
        ("db.operation.name", operation.as_ref()),
        ("db.collection.name", collection),
        ("db.stored_procedure.name", procedure),
    ];
    for (key, text) in texts {
        attributes.extend(text.map(|text| (key, Value::Shared(Arc::clone(text)))));
    }
    attributes.extend(batch.map(|size| ("db.operation.batch.size", Value::Int(size.into()))));
    if request.waits {
        attributes.push((WAITS, Value::Bool(true)));
    }

    let error = error(response, call);
    if let Some(code) = response.and_then(|response| response.code.as_ref()) {
        attributes.push(("db.response.status_code", Value::Text(code.clone())));
    }
    let failed = error.is_some();
    attributes.extend(error.map(|value| ("error.type", value)));
    if let Some(response) = response {
        let rows = [
            ("db.response.returned_rows", response.returned),
            ("tracebee.db.affected_rows", response.affected),
        ];
        for (key, rows) in rows {
            let number = |rows: u64| Value::Int(rows.try_into().unwrap_or(i64::MAX));
            attributes.extend(rows.map(|rows| (key, number(rows))));
        }
        if response.cut {
            attributes.push(("tracebee.db.response_cut", Value::Bool(true)));
        }
    }

    if request.trimmed {
        attributes.push(("tracebee.trimmed", Value::Bool(true)));
    }
    let remote = &call.endpoint.remote;
    let address = tracer.addresses.of(remote);
    attributes.extend(address.clone().map(|address| ("server.address", address)));
    if let Some(port) = remote.port().filter(|port| *port != request.system.port) {
        attributes.push(("server.port", Value::Int(port.into())));
    }
    attributes.extend(address.map(|address| ("network.peer.address", address)));
    match remote.port() {
        Some(port) => attributes.push(("network.peer.port", Value::Int(port.into()))),
        None => attributes.push(("network.transport", Value::Static("unix"))),
    }

    let target = collection.or(procedure).or(namespace).map(|name| &**name);
    let target = target.filter(|_| request.system.target_names);
    let name = match (summary.map(|summary| &**summary), operation.as_deref(), target) {
        (Some(summary), _, _) => tracer.names.plain(call.service, summary, first_word(summary)),
        (None, Some(operation), Some(target)) => {
            tracer.names.plain(call.service, &format!("{operation} {target}"), operation)
        }
        (None, Some(name), None) | (None, None, Some(name)) => {
            tracer.names.plain(call.service, name, request.system.name)
        }
        (None, None, None) => {
            tracer.names.plain(call.service, request.system.name, request.system.name)
        }
    };
    Described { name, error: failed, attributes }
}

/// How many operations were asked for in one, if it is more than one.
fn batch(request: &Request) -> Option<u32> {
    let statements = request.statement.as_ref().map_or(1, |statement| statement.statements);
    Some(request.executions.saturating_mul(statements.max(1))).filter(|size| *size > 1)
}

/// `error.type`, if the call failed.
fn error(response: Option<&Response>, call: &Known<'_>) -> Option<Value> {
    match (response, call.no_answer) {
        (Some(Response { failed: true, code: Some(code), .. }), _) => {
            Some(Value::Text(code.clone()))
        }
        (Some(Response { failed: true, code: None, .. }), _) => Some(Value::Static("_OTHER")),
        (Some(Response { skipped: true, .. }), _) => Some(Value::Static("skipped")),
        (_, Some(reason)) => Some(Value::Static(reason.error_type())),
        (_, None) => None,
    }
}

fn first_word(summary: &str) -> &str {
    summary.split(' ').next().unwrap_or(summary)
}
