//! Capture files, byte by byte.

/// A packet in a file.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Unix time in nanoseconds.
    pub time: u64,
    /// What was captured.
    pub bytes: Vec<u8>,
    /// Length on the wire.
    pub length: usize,
}

impl Frame {
    /// A packet that was captured whole.
    pub fn new(time: u64, bytes: Vec<u8>) -> Self {
        Self { time, length: bytes.len(), bytes }
    }

    /// The same with at most `snaplen` bytes captured.
    pub fn cut(mut self, snaplen: usize) -> Self {
        self.bytes.truncate(snaplen);
        self
    }
}

/// How numbers are written.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// Appends a number of 16 bits.
    pub fn u16(self, out: &mut Vec<u8>, n: u16) {
        out.extend(match self {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        });
    }

    /// The same of 32.
    pub fn u32(self, out: &mut Vec<u8>, n: u32) {
        out.extend(match self {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        });
    }

    /// The same of 64.
    pub fn u64(self, out: &mut Vec<u8>, n: u64) {
        out.extend(match self {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        });
    }
}

/// Its LINKTYPE.
pub const ETHERNET: u32 = 1;

/// A pcap file of Ethernet frames with nanoseconds.
pub fn pcap(frames: &[Frame]) -> Vec<u8> {
    pcap_with(Order::Little, true, ETHERNET, frames)
}

/// Any pcap file.
pub fn pcap_with(order: Order, nanoseconds: bool, link: u32, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    order.u32(&mut out, if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
    order.u16(&mut out, 2);
    order.u16(&mut out, 4);
    order.u32(&mut out, 0);
    order.u32(&mut out, 0);
    order.u32(&mut out, 262_144);
    order.u32(&mut out, link);
    for frame in frames {
        record_with(order, nanoseconds, &mut out, frame);
    }
    out
}

/// One packet of a file of [`pcap`].
pub fn record(out: &mut Vec<u8>, frame: &Frame) {
    record_with(Order::Little, true, out, frame);
}

fn record_with(order: Order, nanoseconds: bool, out: &mut Vec<u8>, frame: &Frame) {
    order.u32(out, (frame.time / 1_000_000_000) as u32);
    let fraction = (frame.time % 1_000_000_000) as u32;
    order.u32(out, if nanoseconds { fraction } else { fraction / 1000 });
    order.u32(out, frame.bytes.len() as u32);
    order.u32(out, frame.length as u32);
    out.extend(&frame.bytes);
}

/// A pcapng file under construction.
pub struct Pcapng {
    /// How its section is written.
    pub order: Order,
    /// What there is so far.
    pub out: Vec<u8>,
}

impl Pcapng {
    /// A file of one section.
    pub fn new(order: Order) -> Self {
        let mut file = Self { order, out: Vec::new() };
        file.section(order);
        file
    }

    /// Begins a section.
    pub fn section(&mut self, order: Order) {
        self.order = order;
        let mut body = Vec::new();
        order.u32(&mut body, 0x1a2b_3c4d);
        order.u16(&mut body, 1);
        order.u16(&mut body, 0);
        order.u64(&mut body, u64::MAX);
        // An option: the comment "hi".
        self.option(&mut body, 1, b"hi");
        self.block(0x0a0d_0d0a, &body);
    }

    /// Describes an interface.
    pub fn interface(&mut self, link: u16, resolution: Option<u8>, offset: Option<i64>) {
        let mut body = Vec::new();
        self.order.u16(&mut body, link);
        self.order.u16(&mut body, 0);
        self.order.u32(&mut body, 0);
        if let Some(resolution) = resolution {
            self.option(&mut body, 9, &[resolution]);
        }
        if let Some(offset) = offset {
            let mut value = Vec::new();
            self.order.u64(&mut value, offset as u64);
            self.option(&mut body, 14, &value);
        }
        self.option(&mut body, 0, b"");
        self.block(1, &body);
    }

    /// An enhanced packet with a time in the interface's units.
    pub fn packet(&mut self, interface: u32, units: u64, frame: &Frame) {
        let mut body = Vec::new();
        self.order.u32(&mut body, interface);
        self.order.u32(&mut body, (units >> 32) as u32);
        self.order.u32(&mut body, units as u32);
        self.order.u32(&mut body, frame.bytes.len() as u32);
        self.order.u32(&mut body, frame.length as u32);
        body.extend(&frame.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        self.option(&mut body, 2, &[0, 0, 0, 1]);
        self.block(6, &body);
    }

    /// A simple packet.
    pub fn simple(&mut self, frame: &Frame) {
        let mut body = Vec::new();
        self.order.u32(&mut body, frame.length as u32);
        body.extend(&frame.bytes);
        self.block(3, &body);
    }

    /// Any block; the body is padded.
    pub fn block(&mut self, kind: u32, body: &[u8]) {
        let length = body.len().next_multiple_of(4);
        self.order.u32(&mut self.out, kind);
        self.order.u32(&mut self.out, length as u32 + 12);
        self.out.extend(body);
        self.out.resize(self.out.len() + length - body.len(), 0);
        self.order.u32(&mut self.out, length as u32 + 12);
    }

    fn option(&self, body: &mut Vec<u8>, code: u16, value: &[u8]) {
        self.order.u16(body, code);
        self.order.u16(body, value.len() as u16);
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
}
