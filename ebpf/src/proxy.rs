//! Reverse proxies: nginx and HAProxy keep, for each connection to a server, whose request it carries.
//! From the socket that a request goes out on, their own structures lead to the client's connection.
//!
//! Nothing is believed of a structure that does not prove to be one: each names its kind or points
//! back, and descriptors must be those of the very sockets. A program that is built otherwise gives
//! nothing.

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use tracebee_common::runtime::{Proxy, kind};

use crate::{
    arch, descriptor, layout,
    memory::{kernel, user},
    runtime,
};

/// The `struct file` of the `struct sock` at `sk`.
#[inline(always)]
pub(crate) fn file(sk: *const u8) -> u64 {
    // SAFETY: every read is checked, and of nothing comes zero.
    unsafe { kernel(kernel(sk as u64, layout::sk_socket()), layout::socket_file()) }
}

/// The cookie of the client's socket whose request the process `pid`, the current one, sends to a
/// server on the socket of the `struct file` at `own`; 0 if that is not certain.
#[inline(always)]
pub(crate) fn client(own: u64, pid: u32) -> u64 {
    let Some(runtime) = runtime::of(pid).filter(|_| own != 0) else { return 0 };
    if runtime.kind != kind::PROXY {
        return 0;
    }
    let proxy = &runtime.proxy;
    let client = if proxy.fdtab == 0 { nginx(own) } else { haproxy(own, proxy) };
    match descriptor::sock(descriptor::file(client)) {
        // SAFETY: a checked read.
        Some((sk, _)) if client != 0 => unsafe { kernel(sk, layout::skc_cookie()) },
        _ => 0,
    }
}

/// What `ngx_http_request_t.signature` says (`NGX_HTTP_MODULE`).
const HTTP: u32 = u32::from_le_bytes(*b"HTTP");
/// `ngx_http_request_t.connection`.
const NGINX_CONNECTION: u32 = 8;
/// `ngx_connection_t.data` and `.fd`.
const NGINX_DATA: u32 = 0;
const NGINX_FD: u32 = 24;

/// nginx gives epoll the address of its connection with each descriptor, with a bit of its own at the
/// end. A connection to a server is its request's, which has that of the client.
#[inline(always)]
fn nginx(own: u64) -> u32 {
    // SAFETY: every read is checked, and of nothing comes zero.
    let connection: u64 = unsafe {
        let items: u64 = kernel(own, layout::file_ep());
        let link: u64 = kernel(items, 0);
        if link == 0 {
            return 0;
        }
        kernel::<u64>(link - layout::epitem_link() as u64, layout::epitem_data()) & !1
    };
    if descriptor::file(user(connection, NGINX_FD)) != own {
        return 0;
    }
    let request: u64 = user(connection, NGINX_DATA);
    if user::<u32>(request, 0) != HTTP {
        return 0;
    }
    user(user(request, NGINX_CONNECTION), NGINX_FD)
}

/// `sizeof(struct fdtab)` and `fdtab.owner`, the same in all versions that are known; and so are those
/// below, where user space names none.
const FDTAB: u64 = 64;
const FDTAB_OWNER: u32 = 40;
/// `connection.ctx` and `.handle`.
const CONNECTION_CTX: u32 = 40;
const CONNECTION_HANDLE: u32 = 104;
/// `h1s.sd`.
const STREAM_ENDPOINT: u32 = 8;
/// `sedesc.sc`.
const ENDPOINT_CONNECTOR: u32 = 16;
/// `session.origin`.
const SESSION_ORIGIN: u32 = 16;
/// `enum obj_type`, which these structures begin with.
const OBJ_TYPE_CONN: u8 = 6;
const OBJ_TYPE_SC: u8 = 8;
const OBJ_TYPE_STREAM: u8 = 9;

/// HAProxy has a table of its descriptors. The connection of one leads by its HTTP/1 stream to the
/// session that the stream is for, which the client's connection began.
#[inline(always)]
fn haproxy(own: u64, proxy: &Proxy) -> u32 {
    let table: u64 = user(proxy.fdtab, 0);
    // SAFETY: typed pointers of the current task.
    let call = unsafe {
        let task = bpf_get_current_task_btf();
        arch::arguments(bpf_task_pt_regs(task.cast()) as *const _)
    };
    let Some(call) = call else { return 0 };
    let fd = call.first as u32;
    if descriptor::file(fd) != own {
        return 0;
    }
    let connection: u64 = user(table + u64::from(fd) * FDTAB, FDTAB_OWNER);
    if user::<u8>(connection, 0) != OBJ_TYPE_CONN {
        return 0;
    }
    let multiplexer: u64 = user(connection, CONNECTION_CTX);
    if user::<u64>(multiplexer, 0) != connection {
        return 0;
    }
    let stream: u64 = user(multiplexer, proxy.stream);
    if user::<u64>(stream, 0) != multiplexer {
        return 0;
    }
    let endpoint: u64 = user(stream, STREAM_ENDPOINT);
    if user::<u64>(endpoint, 0) != stream {
        return 0;
    }
    let connector: u64 = user(endpoint, ENDPOINT_CONNECTOR);
    if user::<u8>(connector, 0) != OBJ_TYPE_SC || user::<u64>(connector, proxy.endpoint) != endpoint
    {
        return 0;
    }
    // A health check has another.
    let app: u64 = user(connector, proxy.app);
    if user::<u8>(app, 0) != OBJ_TYPE_STREAM {
        return 0;
    }
    let session: u64 = user(app, proxy.session);
    let client: u64 = user(session, SESSION_ORIGIN);
    if user::<u8>(client, 0) != OBJ_TYPE_CONN {
        return 0;
    }
    let fd: u32 = user(client, CONNECTION_HANDLE);
    if user::<u64>(table + u64::from(fd) * FDTAB, FDTAB_OWNER) != client { 0 } else { fd }
}
