//! What a supervisor sees of a running process: the datagrams of `sd_notify`, the watchdog that
//! tells the truth, and the sockets that are the supervisor's own.

use crate::http::{Client, push};
use crate::process::{Collected, PATIENCE, Pushline, command, folder};
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// The end of a supervisor.
struct Notified {
    socket: UnixDatagram,
    /// The value of `NOTIFY_SOCKET`.
    name: String,
    folder: PathBuf,
}

impl Notified {
    fn at_path() -> Notified {
        let folder = folder();
        let path = folder.join("notify");
        Notified::new(UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap(), folder)
    }

    fn at_abstract_name() -> Notified {
        let folder = folder();
        let name = folder.to_str().unwrap().trim_start_matches('/').to_owned();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Notified::new(UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}"), folder)
    }

    fn new(socket: UnixDatagram, name: &str, folder: PathBuf) -> Notified {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Notified { socket, name: name.to_owned(), folder }
    }

    fn command(&self) -> Command {
        let mut command = command();
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    fn receive(&self) -> String {
        let mut bytes = [0; 1024];
        let count = self.socket.recv(&mut bytes).expect("nothing more came");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    /// Receives until one holds `text`; returns all of them.
    fn receive_until(&self, text: &str) -> Vec<String> {
        let mut all = vec![self.receive()];
        while !all.last().unwrap().contains(text) {
            all.push(self.receive());
        }
        all
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn each_step_of_a_life_is_told_to_the_supervisor() {
    for supervisor in [Notified::at_path(), Notified::at_abstract_name()] {
        let mut pushline = Pushline::spawn_with(supervisor.command(), "", Stdio::null());
        assert_eq!(supervisor.receive(), "READY=1\nSTATUS=serving, lines go to stdout\n");
        assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
        pushline.signal("HUP");
        assert!(supervisor.receive().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(supervisor.receive(), "READY=1\nSTATUS=serving, lines go to stdout\n");
        pushline.signal("TERM");
        let stopping = supervisor.receive();
        let (head, status) = stopping.split_once("STATUS=").unwrap();
        assert_eq!(head, "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000\n");
        assert!(status.starts_with("draining"), "{status}");
        assert!(pushline.wait().success());
    }
}

#[test]
fn an_output_that_is_away_is_a_status_that_comes_and_goes() {
    let supervisor = Notified::at_path();
    let path = supervisor.folder.join("consumer");
    let toml = format!("[output]\ntarget = \"unix:{}\"\nack_timeout = \"100ms\"\n", path.display());
    let pushline = Pushline::spawn_with(supervisor.command(), &toml, Stdio::null());
    supervisor.receive_until("READY=1\nSTATUS=serving");
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 503);
    supervisor.receive_until(&format!("STATUS=unix:{} takes no lines (", path.display()));
    let _consumer = UnixListener::bind(&path).unwrap();
    supervisor.receive_until("STATUS=serving");
}

#[test]
fn workers_that_all_wait_for_a_stalled_consumer_are_alive() {
    let supervisor = Notified::at_path();
    let path = supervisor.folder.join("consumer");
    // A worker that waits does so for much longer than the watchdog would let it work.
    let toml = format!(
        "[server]\nworkers = 3\n[output]\ntarget = \"unix:{}\"\nack_timeout = \"60s\"\n",
        path.display()
    );
    let mut command = supervisor.command();
    command.env("WATCHDOG_USEC", "100000");
    let pushline = Pushline::spawn_with(command, &toml, Stdio::null());
    let address = pushline.address;
    let pushes: Vec<_> = (0..6)
        .map(|_| thread::spawn(move || push(address, "/metrics/job/x", "a_b 1\n").status))
        .collect();
    let mut client = Client::connect(address);
    while !client.ask("GET", "/metrics", &[], b"").text().contains("\npushline_queue_batches 6\n") {
        supervisor.receive();
    }
    // Ten signs of life take five times what a worker may be at one request.
    for _ in 0..10 {
        supervisor.receive_until("WATCHDOG=1\n");
    }
    let consumer = UnixListener::bind(&path).unwrap();
    let _lines = Collected::from(consumer.accept().unwrap().0);
    for push in pushes {
        assert_eq!(push.join().unwrap(), 200);
    }
}

#[test]
fn a_standard_error_that_nobody_reads_holds_up_nothing() {
    // At level debug each refused push is a line on standard error, whose pipe is full soon.
    let supervisor = Notified::at_path();
    let config = supervisor.folder.join("pushline.toml");
    let toml = "[server]\nlisten = [\"127.0.0.1:0\"]\n[log]\nlevel = \"debug\"\n";
    std::fs::write(&config, toml).unwrap();
    let mut child = supervisor
        .command()
        .env("WATCHDOG_USEC", "200000")
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("msg=listening") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it did not start");
    }
    let address = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
    // A line takes three of the sixteen places of a pipe: the sixth one would wait for a reader.
    let path = format!("/metrics/job/{}", "x".repeat(11_000));
    let mut client = Client::connect(address);
    for _ in 0..200 {
        assert_eq!(client.push(&path, "bad{ 1\n").status, 400);
    }
    supervisor.receive_until("WATCHDOG=1\n");
    // Once somebody reads, what was lost is told before the next event.
    let log = Collected::after(String::new(), stderr);
    log.wait_for_text("msg=\"push refused\"");
    assert_eq!(client.push(&path, "bad{ 1\n").status, 400);
    log.wait_for_text("msg=\"nobody read standard error, events are lost\" events=");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_socket_of_a_supervisor_goes_on_listening_when_the_process_ends() {
    // As a socket unit: the supervisor holds the socket, and starts one process after the other.
    let script = "\
import os, signal, socket, sys
held = socket.create_server(('127.0.0.1', 0))
os.dup2(held.fileno(), 3); os.set_inheritable(3, True)
child = 0
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
for _ in range(2):
    child = os.fork()
    if not child:
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
        os.execv(sys.argv[1], sys.argv[1:])
    while True:
        try:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            break
        except InterruptedError:
            pass
";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(command().get_program());
    let mut supervisor = Pushline::spawn_with(python, "", Stdio::null());
    let address = supervisor.address;
    assert_eq!(push(address, "/metrics/job/x", "a_b 1\n").status, 200);
    supervisor.signal("TERM");
    supervisor.log.wait_for_text("msg=stopped");
    // Whoever comes before the next process listens is served by it.
    assert_eq!(push(address, "/metrics/job/x", "a_b 1\n").status, 200);
    supervisor.signal("TERM");
    assert!(supervisor.wait().success());
    let log = String::from_utf8(supervisor.log.snapshot()).unwrap();
    assert_eq!(log.matches("msg=stopped").count(), 2, "{log}");
}

/// Stops one thread of a process as a debugger does, until standard input ends.
const STOPPER: &str = "\
import ctypes, os, sys
pid, name = int(sys.argv[1]), sys.argv[2]
tasks = [int(t) for t in os.listdir(f'/proc/{pid}/task')]
tid = next(t for t in tasks if open(f'/proc/{pid}/task/{t}/comm').read().strip() == name)
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
if libc.ptrace(SEIZE, tid, 0, 0) or libc.ptrace(INTERRUPT, tid, 0, 0):
    sys.exit('ptrace: ' + os.strerror(ctypes.get_errno()))
print('stopped', flush=True)
sys.stdin.read()
";

#[test]
fn the_watchdog_is_not_told_while_an_essential_thread_stands_still() {
    for thread in ["gate", "writer", "warden"] {
        let supervisor = Notified::at_path();
        let mut command = supervisor.command();
        command.env("WATCHDOG_USEC", "1000000");
        let pushline = Pushline::spawn_with(command, "", Stdio::null());
        let mut stopper = Command::new("python3");
        stopper.args(["-c", STOPPER, &pushline.child.id().to_string(), thread]);
        stopper.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut stopper = stopper.spawn().unwrap();
        let mut told = [0; 8];
        let stdout = stopper.stdout.as_mut().unwrap();
        std::io::Read::read_exact(stdout, &mut told).expect("the thread cannot be stopped");
        pushline.log.wait_for_text("the watchdog is not told any more");
        // The tracer ends, and the thread goes on.
        drop(stopper.stdin.take());
        stopper.wait().unwrap();
        pushline.log.wait_for_text("the watchdog is told again");
    }
}

#[test]
fn lines_for_the_journal_have_a_priority_and_no_time() {
    let mut command = command();
    command.env("JOURNAL_STREAM", "8:42");
    let pushline = Pushline::spawn_with(command, "", Stdio::null());
    pushline.log.wait_for_text("msg=listening");
    let log = String::from_utf8(pushline.log.snapshot()).unwrap();
    let listening = log.lines().find(|line| line.contains("msg=listening")).unwrap();
    assert!(listening.starts_with("<6>level=info msg=listening address="), "{log}");
}
