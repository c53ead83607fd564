//! What a supervisor sees of a running process: the sockets that are the supervisor's own.

use crate::http::push;
use crate::process::{Pushline, command};
use std::process::{Command, Stdio};

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
