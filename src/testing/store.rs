//! A store that does with each request what its test says: it answers, hangs, cuts, resets, dies
//! and comes back; and it tells what it was sent, and which lines it took.

#![allow(dead_code, reason = "of the two crates that have it, each uses a part")]

// In the suite's crate, `push` is a name of this one's.
use crate::push::body::{Coding, Decoder};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreRequest {
    pub(crate) head: String,
    /// As sent.
    pub(crate) body: Vec<u8>,
    /// The lines of the body, decoded.
    pub(crate) lines: Vec<String>,
}

/// What is done with a request of which only the head was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Early {
    /// Answers, and reads no more.
    Answer(u16),
    /// Resets the connection.
    Reset,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers; takes the lines that pass the test.
    Answer { status: u16, headers: String, body: String, takes: fn(&str) -> bool },
    /// Says this and closes.
    Raw(String),
    /// Says nothing, ever.
    Hang,
    /// Takes all lines, and closes without an answer.
    TakeAndClose,
}

impl Act {
    /// An answer without a body; 2xx takes all lines.
    pub(crate) fn status(status: u16) -> Act {
        Act::answer(status, "", "")
    }

    /// An answer; 2xx takes all lines.
    pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Act {
        let takes: fn(&str) -> bool = if status < 300 { |_| true } else { |_| false };
        Act::Answer { status, headers: headers.to_owned(), body: body.to_owned(), takes }
    }

    /// 400 for a request with lines that do not pass the test; the others are taken (InfluxDB).
    pub(crate) fn partial(request: &StoreRequest, is_good: fn(&str) -> bool) -> Act {
        if request.lines.iter().all(|line| is_good(line)) {
            return Act::status(204);
        }
        let (headers, body) =
            (String::new(), r#"{"error":"partial write: bad dropped=1"}"#.to_owned());
        Act::Answer { status: 400, headers, body, takes: is_good }
    }

    /// 400 for a request with lines that do not pass the test; nothing is taken (DataKit).
    pub(crate) fn whole(request: &StoreRequest, is_good: fn(&str) -> bool) -> Act {
        match request.lines.iter().all(|line| is_good(line)) {
            true => Act::status(204),
            false => Act::answer(400, "", r#"{"error":"a bad line"}"#),
        }
    }
}

type Script = Box<dyn FnMut(&StoreRequest) -> Act + Send>;

#[derive(Default)]
struct Book {
    requests: Vec<StoreRequest>,
    taken: Vec<String>,
    connections: Vec<TcpStream>,
    connection_count: usize,
    early: Option<Early>,
    is_dead: bool,
}

/// Where requests are served.
struct Counter {
    script: Mutex<Script>,
    book: Mutex<Book>,
    changed: Condvar,
}

/// A running store.
pub(crate) struct Store {
    address: SocketAddr,
    counter: Arc<Counter>,
}

impl Store {
    /// Starts on a port of its own.
    pub(crate) fn start(script: impl FnMut(&StoreRequest) -> Act + Send + 'static) -> Store {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Box::new(script);
        let counter = Arc::new(Counter {
            script: Mutex::new(script),
            book: Mutex::default(),
            changed: Condvar::new(),
        });
        let store = Store { address, counter };
        store.listen(listener);
        store
    }

    fn listen(&self, listener: TcpListener) {
        let counter = Arc::clone(&self.counter);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut book = counter.book.lock().unwrap();
                if book.is_dead {
                    return;
                }
                book.connection_count += 1;
                book.connections.push(stream.try_clone().unwrap());
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(stream, &counter));
            }
        });
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Does this with each request from here on.
    pub(crate) fn play(&self, script: impl FnMut(&StoreRequest) -> Act + Send + 'static) {
        *self.counter.script.lock().unwrap() = Box::new(script);
    }

    /// Does this with each request from here on, before its body was read.
    pub(crate) fn play_early(&self, early: Early) {
        self.counter.book.lock().unwrap().early = Some(early);
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<StoreRequest> {
        self.counter.book.lock().unwrap().requests.clone()
    }

    /// All lines that were taken so far.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.counter.book.lock().unwrap().taken.clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.counter.book.lock().unwrap().connection_count
    }

    /// Waits until so many requests have come.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let book = self.counter.book.lock().unwrap();
        let patience = Duration::from_secs(60);
        let waits = |book: &mut Book| book.requests.len() < count;
        let (book, waited) =
            self.counter.changed.wait_timeout_while(book, patience, waits).unwrap();
        assert!(!waited.timed_out(), "only {} requests", book.requests.len());
    }

    /// Closes every connection, and takes no new one.
    pub(crate) fn die(&mut self) {
        let mut book = self.counter.book.lock().unwrap();
        book.is_dead = true;
        for stream in book.connections.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        drop(book);
        // Wakes the listener, which ends.
        TcpStream::connect(self.address).ok();
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn come_back(&mut self) {
        self.counter.book.lock().unwrap().is_dead = false;
        self.listen(TcpListener::bind(self.address).unwrap());
    }
}

fn serve(mut stream: TcpStream, counter: &Counter) {
    let mut unread = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut unread) {
        let mut request = StoreRequest { head, ..StoreRequest::default() };
        let early = counter.book.lock().unwrap().early;
        if let Some(early) = early {
            counter.note(request);
            return serve_early(stream, counter, early);
        }
        if read_body(&mut stream, &mut unread, &mut request).is_none() {
            return;
        }
        counter.note(request.clone());
        let act = (counter.script.lock().unwrap())(&request);
        match act {
            // The book keeps the connection open.
            Act::Hang => return,
            Act::Raw(text) => {
                stream.write_all(text.as_bytes()).ok();
                stream.shutdown(Shutdown::Both).ok();
                return;
            }
            Act::TakeAndClose => {
                counter.take(&request, |_| true);
                stream.shutdown(Shutdown::Both).ok();
                return;
            }
            Act::Answer { status, headers, body, takes } => {
                counter.take(&request, takes);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

fn serve_early(mut stream: TcpStream, counter: &Counter, early: Early) {
    match early {
        Early::Answer(status) => {
            // The book keeps the connection open, and nobody reads.
            write!(stream, "HTTP/1.1 {status} Early\r\nContent-Length: 0\r\n\r\n").ok();
        }
        Early::Reset => {
            // Closed by all who hold it while bytes are unread, a connection is reset.
            stream.peek(&mut [0]).ok();
            let peer = stream.peer_addr().ok();
            let mut book = counter.book.lock().unwrap();
            book.connections.retain(|other| other.peer_addr().ok() != peer);
        }
    }
}

impl Counter {
    fn note(&self, request: StoreRequest) {
        self.book.lock().unwrap().requests.push(request);
        self.changed.notify_all();
    }

    fn take(&self, request: &StoreRequest, takes: fn(&str) -> bool) {
        let lines = request.lines.iter().filter(|line| takes(line)).cloned();
        self.book.lock().unwrap().taken.extend(lines);
    }
}

fn read_head(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head: Vec<u8> = unread.drain(..end + 4).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        read_more(stream, unread)?;
    }
}

fn read_body(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    request: &mut StoreRequest,
) -> Option<()> {
    let head = request.head.to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    // A GET has none.
    let length: usize = header("content-length: ").map_or(0, |length| length.parse().unwrap());
    while unread.len() < length {
        read_more(stream, unread)?;
    }
    request.body = unread.drain(..length).collect();
    let coding = match header("content-encoding: ") {
        Some("gzip") => Coding::Gzip,
        _ => Coding::Identity,
    };
    let mut decoder = Decoder::default();
    let text = match decoder.decode(coding, &request.body, 1 << 30) {
        Ok(text) => String::from_utf8_lossy(text).into_owned(),
        Err(error) => format!("undecodable: {error}"),
    };
    request.lines = text.lines().map(str::to_owned).collect();
    Some(())
}

fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 65_536];
    let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
    unread.extend_from_slice(&chunk[..count]);
    Some(())
}
