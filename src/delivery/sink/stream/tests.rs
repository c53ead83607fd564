use super::*;
use crate::delivery::condition::OutputState;
use crate::delivery::sink::rejected::RejectedOptions;
use crate::observe::log::{Level, LogFormat};
use std::collections::BTreeSet;
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

const LONG: Duration = Duration::from_secs(30);

/// What a reader of a test has taken, and whether it closes each connection at once.
#[derive(Debug, Default)]
struct Reader {
    lines: Mutex<BTreeSet<String>>,
    is_down: AtomicBool,
}

impl Reader {
    /// A reader that closes at each line that begins with `bad`; its address.
    fn start(is_down: bool) -> (Arc<Reader>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reader = Arc::new(Reader::default());
        reader.is_down.store(is_down, Ordering::Relaxed);
        let reading = Arc::clone(&reader);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if reading.is_down.load(Ordering::Relaxed) {
                    continue;
                }
                for line in BufReader::new(stream.unwrap()).lines() {
                    match line {
                        Ok(line) if !line.starts_with("bad") => {
                            reading.lines.lock().unwrap().insert(line);
                        }
                        _ => break,
                    }
                }
            }
        });
        (reader, address)
    }

    fn has(&self, numbers: std::ops::Range<u32>) -> bool {
        let lines = self.lines.lock().unwrap();
        numbers.into_iter().all(|number| lines.contains(&format!("good {number}")))
    }
}

fn socket(address: String, telemetry: &Arc<Telemetry>) -> Socket {
    socket_with(address, telemetry, Duration::from_secs(60))
}

fn socket_with(address: String, telemetry: &Arc<Telemetry>, replay: Duration) -> Socket {
    socket_of(Peer::Tcp(address), telemetry, replay)
}

fn socket_of(peer: Peer, telemetry: &Arc<Telemetry>, replay: Duration) -> Socket {
    let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
    let options = RejectedOptions::default();
    let rejected = Rejected::new(&options, Arc::clone(telemetry), Arc::clone(&log));
    Socket::new(peer, replay, rejected, (Arc::clone(telemetry), log))
}

/// A block of pushes of one line each.
fn block(lines: impl IntoIterator<Item = String>) -> Block {
    let mut block = Block::default();
    lines.into_iter().for_each(|line| block.append(format!("{line}\n").as_bytes(), 1));
    block
}

/// Offers a block until it is taken.
fn deliver(socket: &mut Socket, block: &Block) -> Taken {
    let telemetry = Arc::new(Telemetry::new());
    let mut progress = Progress::new(Arc::new(OutputState::new(LONG, telemetry)));
    let deadline = Instant::now() + LONG;
    loop {
        match socket.offer(block, &mut progress) {
            Ok(taken) => return taken,
            Err(trouble) => assert!(Instant::now() < deadline, "{trouble:?}"),
        }
        thread::yield_now();
    }
}

/// Looks after an idle socket until something holds.
fn idle_until(socket: &mut Socket, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come to hold");
        if socket.idle().is_err() {
            thread::yield_now();
        }
    }
}

fn figure(telemetry: &Telemetry, name: &str) -> u64 {
    let text = telemetry.render();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

const DISCONNECTED: &str = "pushline_lines_rejected_total{reason=\"disconnected\"}";

#[test]
fn a_reader_that_closes_at_a_push_gets_everything_else() {
    let (reader, address) = Reader::start(false);
    let telemetry = Arc::new(Telemetry::new());
    let mut socket = socket(address, &telemetry);
    let good = |number: u32| format!("good {number}");
    assert_eq!(deliver(&mut socket, &block((0..20).map(good))), Taken::All);
    let mixed = (20..30).map(good).chain(["bad 1".to_owned()]).chain((30..50).map(good));
    let mut taken = vec![deliver(&mut socket, &block(mixed))];
    // Whether it was in hand, or acknowledged long since, when the reader closed at it.
    for number in 50..60 {
        taken.push(deliver(&mut socket, &block([good(number)])));
    }
    let is_rejected = || figure(&telemetry, DISCONNECTED) == 1;
    idle_until(&mut socket, || is_rejected() && reader.has(0..60));
    let refused: Vec<_> = taken.into_iter().filter(|taken| *taken != Taken::All).collect();
    assert!(refused.len() <= 1, "{refused:?}");
    assert!(figure(&telemetry, "pushline_lines_resent_total") > 0);
}

#[test]
fn a_proxy_without_a_reader_is_never_blamed_on_a_push() {
    let (reader, address) = Reader::start(true);
    let telemetry = Arc::new(Telemetry::new());
    let mut socket = socket(address, &telemetry);
    let good = |number: u32| format!("good {number}");
    let in_hand = block((0..10).map(good));
    let mut progress = Progress::new(Arc::new(OutputState::new(LONG, Arc::new(Telemetry::new()))));
    let deadline = Instant::now() + LONG;
    let mut is_in_hand = true;
    // It takes every connection, and closes it.
    loop {
        assert!(Instant::now() < deadline, "nothing is proven");
        let outcome = match is_in_hand {
            true => socket.offer(&in_hand, &mut progress).map(drop),
            false => socket.idle(),
        };
        match outcome {
            Ok(()) => is_in_hand = false,
            Err(Trouble::Broken { error, .. }) if error.to_string().contains("nothing is sent") => {
                break;
            }
            Err(_) => {}
        }
        thread::yield_now();
    }
    reader.is_down.store(false, Ordering::Relaxed);
    if is_in_hand {
        assert_eq!(deliver(&mut socket, &in_hand), Taken::All);
    }
    idle_until(&mut socket, || reader.has(0..10));
    assert_eq!(figure(&telemetry, DISCONNECTED), 0);
}

#[test]
fn what_is_sent_again_to_a_slow_reader_stays_whole_while_it_grows_old() {
    // What a connection holds that nobody reads is less.
    const LINES: u32 = 6000;
    const REPLAY: Duration = Duration::from_secs(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = Arc::new(Telemetry::new());
    let mut socket = socket_with(listener.local_addr().unwrap().to_string(), &telemetry, REPLAY);
    let line = |number: u32| format!("{number} {}", "x".repeat(1000));
    let reading = thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(first).lines();
        while !lines.next().unwrap().unwrap().starts_with(&format!("{} ", LINES - 1)) {}
        drop(lines);
        let (second, _) = listener.accept().unwrap();
        (listener, second)
    });
    for from in (0..LINES).step_by(20) {
        assert_eq!(deliver(&mut socket, &block((from..from + 20).map(line))), Taken::All);
    }
    idle_until(&mut socket, || reading.is_finished());
    let (_listener, second) = reading.join().unwrap();
    // Nobody reads for longer than it is kept otherwise.
    let opened = Instant::now();
    idle_until(&mut socket, || opened.elapsed() > 2 * REPLAY);
    let rest = thread::spawn(move || {
        let lines = BufReader::new(second).lines().map(Result::unwrap);
        lines.take_while(|line| line != "end").collect::<Vec<_>>()
    });
    assert_eq!(deliver(&mut socket, &block(["end".to_owned()])), Taken::All);
    idle_until(&mut socket, || rest.is_finished());
    let found = rest.join().unwrap();
    let first = found[0].split(' ').next().unwrap().parse().unwrap();
    let differs = found.iter().zip(first..).position(|(found, number)| *found != line(number));
    let told = differs.map(|at| found[at].split(' ').next().unwrap());
    assert_eq!(
        (told, first + u32::try_from(found.len()).unwrap()),
        (None, LINES),
        "from {first} on"
    );
}

#[test]
fn what_a_reader_took_in_a_search_is_sent_again_when_it_dies_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = Arc::new(Telemetry::new());
    let mut socket = socket(listener.local_addr().unwrap().to_string(), &telemetry);
    let is_searched = Arc::new(AtomicBool::new(false));
    let (die, dies) = mpsc::channel();
    let searched = Arc::clone(&is_searched);
    let reading = thread::spawn(move || {
        // It dies at what it is sent, until it is searched: then it takes all, and dies with it.
        loop {
            let (stream, _) = listener.accept().unwrap();
            if searched.load(Ordering::Acquire) {
                dies.recv().unwrap();
                break;
            }
            BufReader::new(stream).read_line(&mut String::new()).ok();
        }
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        (0..10).map(|_| lines.next().unwrap()).collect::<Vec<_>>()
    });
    let good = |number: u32| format!("good {number}");
    assert_eq!(deliver(&mut socket, &block((0..10).map(good))), Taken::All);
    let deadline = Instant::now() + LONG;
    while socket.suspects.is_none() {
        assert!(Instant::now() < deadline, "it is not searched");
        socket.idle().ok();
    }
    is_searched.store(true, Ordering::Release);
    while socket.suspects.is_some() {
        assert!(Instant::now() < deadline, "the search does not end");
        socket.idle().ok();
    }
    die.send(()).unwrap();
    idle_until(&mut socket, || reading.is_finished());
    assert_eq!(reading.join().unwrap(), (0..10).map(good).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_answers_each_line_before_it_reads_the_next_never_stops_the_lines() {
    // Of lines and answers both, more than the system holds between the two.
    const LINES: u32 = 20_000;
    let path = std::env::temp_dir().join(format!("pushline-answers-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let reading = thread::spawn(move || {
        let (mut answers, _) = listener.accept().unwrap();
        let lines = BufReader::new(answers.try_clone().unwrap()).lines();
        let answer = [b'.'; 100];
        lines.take(LINES as usize).map(|_| answers.write_all(&answer).unwrap()).count()
    });
    let telemetry = Arc::new(Telemetry::new());
    let mut socket = socket_of(Peer::Unix(path.clone()), &telemetry, Duration::from_secs(60));
    let line = |number: u32| format!("{number} {}", "x".repeat(100));
    let mut in_hand = Block::default();
    let push: String = (0..LINES).map(|number| line(number) + "\n").collect();
    in_hand.append(push.as_bytes(), LINES);
    assert_eq!(deliver(&mut socket, &in_hand), Taken::All);
    idle_until(&mut socket, || reading.is_finished());
    assert_eq!(reading.join().unwrap(), LINES as usize);
    std::fs::remove_file(path).unwrap();
}
