//! A pushline of a test's own: started on a free port, its output collected, ended with the test.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that a thread collects while the test looks at them.
#[derive(Debug)]
pub(crate) struct Collected {
    bytes: Mutex<Vec<u8>>,
    has_grown: Condvar,
    /// Where they come from, to ask what is unread there.
    source: OwnedFd,
}

impl Collected {
    pub(crate) fn from(source: impl Read + AsFd + Send + 'static) -> Arc<Collected> {
        Collected::after(String::new(), BufReader::new(source))
    }

    /// The same where some of them, and perhaps the first of the rest, have been read already.
    pub(crate) fn after(
        first: String,
        rest: BufReader<impl Read + AsFd + Send + 'static>,
    ) -> Arc<Collected> {
        let bytes = [first.as_bytes(), rest.buffer()].concat();
        let mut source = rest.into_inner();
        let collected = Collected {
            bytes: Mutex::new(bytes),
            has_grown: Condvar::new(),
            source: source.as_fd().try_clone_to_owned().unwrap(),
        };
        let collected = Arc::new(collected);
        let into = Arc::clone(&collected);
        thread::spawn(move || {
            let mut chunk = vec![0; 1 << 20];
            loop {
                into.wait_for_source();
                let mut bytes = into.bytes.lock().unwrap();
                let Ok(count @ 1..) = source.read(&mut chunk) else { return };
                bytes.extend_from_slice(&chunk[..count]);
                drop(bytes);
                into.has_grown.notify_all();
            }
        });
        collected
    }

    /// Waits until something can be read, or the end.
    fn wait_for_source(&self) {
        let mut watched = [PollFd::new(&self.source, PollFlags::IN)];
        while poll(&mut watched, None) == Err(Errno::INTR) {}
    }

    /// All that was written until now.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let bytes = self.bytes.lock().unwrap();
            if ioctl_fionread(&self.source).unwrap() == 0 {
                return bytes.clone();
            }
            drop(bytes);
            assert!(Instant::now() < deadline, "there is always more");
            thread::yield_now();
        }
    }

    /// Waits until `is_enough` of the bytes; they are taken away.
    pub(crate) fn take_until(&self, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = self.bytes.lock().unwrap();
        while !is_enough(&bytes) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "too little came: {}", String::from_utf8_lossy(&bytes));
            bytes = self.has_grown.wait_timeout(bytes, left).unwrap().0;
        }
        std::mem::take(&mut bytes)
    }

    pub(crate) fn wait_for_text(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = self.bytes.lock().unwrap();
        while !String::from_utf8_lossy(&bytes).contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {text:?} in {}", String::from_utf8_lossy(&bytes));
            bytes = self.has_grown.wait_timeout(bytes, left).unwrap().0;
        }
    }
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Pushline {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Collected>,
    folder: PathBuf,
}

/// A folder of the test's own.
pub(crate) fn folder() -> PathBuf {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("pushline-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The command, without the environment's own settings. `TESTED_PUSHLINE` names another program
/// than the one of this build, such as an emulator and the binary of another machine.
pub(crate) fn command() -> Command {
    let tested = std::env::var("TESTED_PUSHLINE");
    let tested = tested.unwrap_or_else(|_| env!("CARGO_BIN_EXE_pushline").to_owned());
    let mut words = tested.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_of_a_supervisor = matches!(&*text, "NOTIFY_SOCKET" | "JOURNAL_STREAM");
        if text.starts_with("PUSHLINE_") || text.starts_with("ENV_INPUT_") || is_of_a_supervisor {
            command.env_remove(&name);
        }
    }
    command
}

impl Pushline {
    /// Starts with this configuration, on a free port; what it writes is collected.
    pub(crate) fn start(toml: &str) -> (Pushline, Arc<Collected>) {
        let mut pushline = Pushline::spawn(toml, Stdio::piped());
        let output = Collected::from(pushline.stdout());
        (pushline, output)
    }

    /// Starts with this configuration and this standard output.
    pub(crate) fn spawn(toml: &str, stdout: Stdio) -> Pushline {
        Pushline::spawn_with(command(), toml, stdout)
    }

    /// The same with a command that runs it somehow else; its last argument is the configuration.
    /// Where it says what to listen on, that begins with a free port.
    pub(crate) fn spawn_with(command: Command, toml: &str, stdout: Stdio) -> Pushline {
        let started = Pushline::try_spawn_with(command, toml, stdout);
        started.unwrap_or_else(|log| panic!("it did not start: {log}"))
    }

    /// The same where it may end before it listens; then with what it wrote about that.
    pub(crate) fn try_spawn_with(
        mut command: Command,
        toml: &str,
        stdout: Stdio,
    ) -> Result<Pushline, String> {
        let folder = folder();
        let config = folder.join("pushline.toml");
        std::fs::write(&config, toml).unwrap();
        let listen = "PUSHLINE_SERVER_LISTEN";
        if !command.get_envs().any(|(name, value)| name == listen && value.is_some()) {
            command.env(listen, "127.0.0.1:0");
        }
        let mut child = command
            .arg(format!("--config={}", config.display()))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut head = String::new();
        let address = loop {
            let start = head.len();
            let count = stderr.read_line(&mut head).unwrap();
            if count == 0 {
                let ended = child.wait().unwrap();
                assert!(!ended.success(), "it ended well without listening: {head}");
                return Err(head);
            }
            if let Some((_, address)) = head[start..].split_once("msg=listening address=") {
                break address.split_whitespace().next().unwrap().parse().unwrap();
            }
        };
        let log = Collected::after(head, stderr);
        Ok(Pushline { child, address, log, folder })
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("pushline.toml")
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Stops it, every thread of it, until SIGCONT.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| status.contains("\nState:\tT"))
        };
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_dir(&tasks).unwrap().all(is_stopped) {
            assert!(Instant::now() < deadline, "it does not stop");
        }
    }

    /// Sends SIGHUP and waits for what comes of it; returns the log up to the end of the line that
    /// says so, which is taken away.
    pub(crate) fn hang_up(&self, outcome: &str) -> String {
        self.signal("HUP");
        let has_whole_line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.find(outcome).is_some_and(|at| text[at..].contains('\n'))
        };
        String::from_utf8(self.log.take_until(has_whole_line)).unwrap()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A number of `/proc/PID/status`: `VmRSS` in KiB, `Threads`.
    pub(crate) fn status_of(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

impl Drop for Pushline {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
