//! The process as an operator meets it: arguments, configuration, exit status.

use crate::http::{Client, push};
use crate::process::{Pushline, command, folder};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command().args(arguments).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_exit_status_tells_what_happened() {
    let (status, stdout, _) = run(&["--version"]);
    assert_eq!(
        (status, stdout.as_str()),
        (Some(0), concat!("pushline ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let (status, stdout, _) = run(&["--help"]);
    assert_eq!(status, Some(0));
    for flag in ["--config FILE", "--listen ADDRESS", "--output TARGET", "--check", "--version"] {
        assert!(stdout.contains(flag), "{flag} is missing in the help");
    }
    let (status, _, stderr) = run(&["--chekc"]);
    assert_eq!(status, Some(2));
    assert_eq!(
        stderr,
        "pushline: \"--chekc\" is not an argument of pushline; did you mean --check?\n"
    );
}

#[test]
fn the_list_of_a_damaged_spool_ends_with_exit_status_1() {
    // The segment in the example of its format: a record whose line is `a b=1 2`.
    let mut segment = Vec::from(*b"PLSEGMNT\x01\0\0\0\x07\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0");
    segment.extend(b"\xe8\x03\0\0\0\0\0\0\xcf\x3f\x56\x84");
    segment.extend(b"\xffPLR\x08\0\0\0\x01\0\0\0\x07\0\0\0\0\0\0\0");
    segment.extend(b"\xe8\x03\0\0\0\0\0\0\xe4\x11\x8f\x88\x42\x11\x6f\x7fa b=1 2\n");
    let dir = folder();
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("00000000000000000007.seg");
    let list = |segment: &[u8]| {
        std::fs::write(&path, segment).unwrap();
        run(&["spool", "list", "--dir", dir.to_str().unwrap()])
    };
    let (status, shown, told) = list(&segment);
    assert!(shown.ends_with("damage: none\n"), "{shown}");
    assert_eq!((status, told.as_str()), (Some(0), ""));
    let last_byte = segment.len() - 1;
    for (at, want) in [
        (30, "damage: 1 segments are damaged, no waiting record is missing\n"),
        (last_byte, "damage: 1 records are missing or damaged\n"),
    ] {
        let mut damaged = segment.clone();
        damaged[at] ^= 1;
        let (status, shown, told) = list(&damaged);
        assert!(shown.contains(want), "{shown}");
        assert_eq!(
            (status, told.as_str()),
            (Some(1), "pushline: the spool is damaged, see its list\n")
        );
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn check_tells_every_mistake_and_serves_nothing() {
    let folder = folder();
    let path = folder.join("bad.toml");
    std::fs::write(&path, "[output]\nqueue_bytes = \"0\"\nakc = 1\n").unwrap();
    let (status, stdout, stderr) = run(&["--check", "--config", path.to_str().unwrap()]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    let path = path.display();
    assert!(stderr.contains(&format!(
        "pushline: {path}:2:15: output.queue_bytes is \"0\", must be between 64KiB and 4GiB"
    )));
    assert!(stderr.contains(&format!(
        "pushline: {path}:3:1: \"output.akc\" is not known, did you mean output.ack?"
    )));
    let (status, stdout, _) = run(&["--check", "--config", "conf.sample"]);
    assert_eq!((status, stdout.as_str()), (Some(0), "the configuration is good\n"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Runs with this configuration; the exit status, and what it says on standard error.
fn run_with(arguments: &[&str], toml: &str) -> (Option<i32>, String) {
    let folder = folder();
    let path = folder.join("c.toml");
    std::fs::write(&path, toml).unwrap();
    let config = format!("--config={}", path.display());
    let (status, _, stderr) = run(&[arguments, &[&config]].concat());
    std::fs::remove_dir_all(folder).unwrap();
    (status, stderr)
}

#[test]
fn check_and_start_refuse_alike_what_cannot_be_started_with() {
    let folder = folder();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let auth = |path: &str| format!("server.auth_file = \"{path}\"\n");
    let target = |path: &str| format!("output.target = \"file:{path}\"\n");
    let missing = folder.join("missing").display().to_string();
    let open = file("open", "basic a:b\n", 0o644);
    let malformed = file("malformed", "token x\n", 0o600);
    let spool =
        |path: &str| format!("output.target = \"tcp://127.0.0.1:1\"\nspool.dir = \"{path}\"\n");
    let empty = file("empty", "# none\n", 0o600);
    let binary = file("binary", "", 0o600);
    std::fs::write(&binary, b"basic a:\xff\n").unwrap();
    // A pipe without a writer: to wait for one would be to hang.
    let pipe = folder.join("pipe").display().to_string();
    let made = std::process::Command::new("mkfifo").args(["-m", "600", &pipe]).status();
    assert!(made.unwrap().success());
    for (toml, want) in [
        (
            auth(&missing),
            format!(
                "server.auth_file: {missing}: cannot read the credentials: No such file or directory (os error 2)"
            ),
        ),
        (
            auth(&open),
            format!(
                "server.auth_file: {open}: its mode is 0644, others can read the credentials; chmod o-rwx it"
            ),
        ),
        (
            auth(&malformed),
            format!(
                "server.auth_file: {malformed}:1: begins with \"token\", must be \"basic user:password\" or \"bearer token\""
            ),
        ),
        (
            auth(&pipe),
            format!(
                "server.auth_file: {pipe}: cannot read the credentials: it is not a regular file"
            ),
        ),
        (
            format!("output.target = \"http://127.0.0.1:1\"\noutput.http.auth_file = \"{pipe}\"\n"),
            format!(
                "cannot open the output http://127.0.0.1:1: output.http.auth_file: {pipe}: cannot read the credentials: it is not a regular file"
            ),
        ),
        (
            auth(&binary),
            format!("server.auth_file: {binary}: cannot read the credentials: they are not UTF-8"),
        ),
        (auth(&empty), format!("server.auth_file: {empty}: has no credentials, nobody could push")),
        (
            target(&format!("{missing}/lines")),
            format!(
                "output.target: cannot make a file in {missing}: No such file or directory (os error 2)"
            ),
        ),
        (
            target(&format!("{open}/lines")),
            format!("output.target: cannot make a file in {open}: Not a directory (os error 20)"),
        ),
        (
            target(&folder.display().to_string()),
            format!(
                "output.target: cannot write to {}: Is a directory (os error 21)",
                folder.display()
            ),
        ),
        (
            format!("server.listen = \"unix:{open}\"\n"),
            format!("server.listen: {open} is there already, and is no socket"),
        ),
        (
            format!("output.target = \"unix:{open}\"\n"),
            format!("output.target: {open} is there already, and is no socket"),
        ),
        (
            spool(&open),
            format!("spool.dir: cannot make a file in {open}: Not a directory (os error 20)"),
        ),
    ] {
        let want = (Some(2), format!("pushline: {want}\n"));
        assert_eq!(run_with(&["--check"], &toml), want, "{toml}");
        assert_eq!(run_with(&[], &toml), want, "{toml}");
    }
    let both = auth(&missing) + &target(&format!("{missing}/lines"));
    let (status, stderr) = run_with(&["--check"], &both);
    assert_eq!((status, stderr.lines().count()), (Some(2), 2), "{stderr}");
    let good = file("good", "basic a:b\n", 0o600);
    for toml in [auth(&good), target(&open), target(&format!("{}/lines", folder.display()))] {
        assert_eq!(run_with(&["--check"], &toml), (Some(0), String::new()), "{toml}");
    }
    assert!(!folder.join("lines").exists(), "a check makes nothing");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_hangup_while_it_starts_is_kept_and_does_not_kill() {
    let folder = folder();
    let fifo = folder.join("pushline.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut child = command()
        .arg("--config")
        .arg(&fifo)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It opens only once the process reads its configuration.
    let mut file = std::fs::File::create(&fifo).unwrap();
    crate::process::signal(child.id(), "HUP");
    file.write_all(b"server.listen = [\"127.0.0.1:0\"]\n").unwrap();
    drop(file);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("msg=listening")));
    // What it was asked for is done once it has started.
    std::fs::write(&fifo, "log.level = \"debug\"\n").unwrap();
    assert!(log.any(|line| line.contains("configuration and credentials read again")));
    crate::process::signal(child.id(), "TERM");
    log.for_each(drop);
    assert!(child.wait().unwrap().success());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_start_that_hangs_is_ended_by_its_signal() {
    let folder = folder();
    let fifo = folder.join("pushline.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut child = command().arg("--config").arg(&fifo).stderr(Stdio::null()).spawn().unwrap();
    let file = std::fs::File::create(&fifo).unwrap();
    crate::process::signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    drop(file);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn print_config_prints_what_reads_back() {
    let (status, printed, _) = run(&["--print-config"]);
    assert_eq!(status, Some(0));
    let folder = folder();
    let path = folder.join("printed.toml");
    std::fs::write(&path, &printed).unwrap();
    let (_, again, _) = run(&["--print-config", "--config", path.to_str().unwrap()]);
    assert_eq!(printed, again);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_address_in_use_is_named() {
    let (pushline, _) = Pushline::start("");
    let address = pushline.address.to_string();
    let output = command().env("PUSHLINE_SERVER_LISTEN", &address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let want = format!("cannot listen on {address} (server.listen): Address already in use");
    assert!(stderr.contains(&want), "{stderr}");
}

#[test]
fn two_flags_are_enough_and_a_terminal_is_told_what_to_do() {
    let folder = folder();
    let lines = folder.join("lines");
    // The process has a terminal as its standard error; what it writes there is printed.
    let script = "import os,pty,subprocess,sys\n\
                  ours,theirs=pty.openpty()\n\
                  p=subprocess.Popen(sys.argv[1:],stderr=theirs)\n\
                  os.close(theirs)\n\
                  text=b''\n\
                  while b'Lines: ' not in text: text+=os.read(ours,4096)\n\
                  print(text.decode(),flush=True)\n\
                  sys.stdin.read()\n\
                  p.terminate()\n\
                  sys.exit(p.wait())";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(command().get_program())
        .args(["--listen", "127.0.0.1:0", "--output"])
        .arg(format!("file:{}", lines.display()))
        .env_remove("NOTIFY_SOCKET")
        .env_remove("INVOCATION_ID")
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let page = told.find_map(|line| Some(line.strip_prefix("Status page:  http://")?.to_owned()));
    let address: SocketAddr = page.unwrap().trim().trim_end_matches('/').parse().unwrap();
    let curl = told.next().unwrap();
    let curl = curl.strip_prefix("Push:         ").unwrap().trim();
    assert_eq!(
        told.next().unwrap().trim(),
        format!("Lines:        are appended to {}; end with Ctrl-C", lines.display())
    );
    let status =
        std::process::Command::new("sh").args(["-c", &format!("{curl} -sS")]).status().unwrap();
    assert!(status.success(), "{curl}");
    assert_eq!(push(address, "/metrics/job/j", "a_b 1\n").status, 200);
    let written = std::fs::read_to_string(&lines).unwrap();
    assert!(written.starts_with("room,job=demo temp=21.5 "), "{written}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_port_alone_serves_every_address() {
    let mut child = command()
        .env("PUSHLINE_SERVER_LISTEN", ":0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let port = log.find_map(|line| line.split_once("address=")?.1.rsplit_once(':')?.1.parse().ok());
    let port: u16 = port.unwrap();
    assert_eq!(push(([127, 0, 0, 1], port).into(), "/metrics/job/j", "a_b 1\n").status, 200);
    crate::process::signal(child.id(), "INT");
    log.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_address_that_can_never_be_bound_is_a_mistake_of_the_check_and_of_the_start() {
    for host in ["[::zz]", "256.1.1.1", "*", "http://127.0.0.1", "::1"] {
        for more in [&["--check"][..], &[]] {
            let mut command = command();
            command.args(["--listen", &format!("{host}:9091")]).args(more).stdin(Stdio::null());
            let output = command.output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{host} {more:?}: {told}");
            let want = format!("\"{host}:9091\" has the ");
            assert!(told.contains(&want), "{told}");
        }
    }
}

#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    use std::io::Read;
    let folder = folder();
    let path = folder.join("socket");
    let toml = format!("[server]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n", path.display());
    std::fs::write(folder.join("c.toml"), toml).unwrap();
    let mut child = command()
        .arg("--config")
        .arg(folder.join("c.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = loop {
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => std::thread::yield_now(),
        }
    };
    stream.write_all(b"POST /metrics/job/u HTTP/1.0\r\nContent-Length: 6\r\n\r\na_b 1\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    crate::process::signal(child.id(), "INT");
    assert!(child.wait().unwrap().success());
    assert!(!path.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_kubernetes_sets_for_a_service_called_pushline_is_no_setting() {
    let check = |name: &str| {
        let mut check = command();
        check.arg("--check").env(name, "tcp://10.0.0.1:9091").stdin(Stdio::null());
        check.output().unwrap().status.code()
    };
    for name in [
        "PUSHLINE_SERVICE_HOST",
        "PUSHLINE_SERVICE_PORT",
        "PUSHLINE_SERVICE_PORT_PUSH",
        "PUSHLINE_PORT",
        "PUSHLINE_PORT_9091_TCP",
        "PUSHLINE_PORT_9091_TCP_ADDR",
    ] {
        assert_eq!(check(name), Some(0), "{name}");
    }
    assert_eq!(check("PUSHLINE_SERVER_LISTENS"), Some(2));
}

#[test]
fn a_unix_socket_that_a_successor_has_bound_is_left_to_it() {
    use std::os::unix::net::UnixStream;
    let folder = folder();
    let path = folder.join("socket");
    let toml = format!("[server]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n", path.display());
    let start = || {
        let mut child = command();
        child.arg("--config").arg(folder.join("c.toml")).stdin(Stdio::null());
        child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    std::fs::write(folder.join("c.toml"), toml).unwrap();
    let push = || {
        let mut stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
        };
        stream
            .write_all(b"POST /metrics/job/u HTTP/1.0\r\nContent-Length: 6\r\n\r\na_b 1\n")
            .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    };
    let mut first = start();
    push();
    // Somebody clears the folder, or a new container has mounted it: the path is free again.
    std::fs::remove_file(&path).unwrap();
    let mut second = start();
    push();
    crate::process::signal(first.id(), "TERM");
    assert!(first.wait().unwrap().success());
    assert!(path.exists(), "the socket of the successor is gone");
    push();
    crate::process::signal(second.id(), "TERM");
    assert!(second.wait().unwrap().success());
    assert!(!path.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_loop_of_the_customer_gives_measurement_pushgateway_and_field_count() {
    let toml = "[[inputs.pushgateway]]\nroute_prefix = \"/v1/pushgateway\"\n";
    let (pushline, output) = Pushline::start(toml);
    let url = format!(
        "http://{}/v1/pushgateway/metrics/job@base64/aGVsbG8=/node/n1/pod/p1/namespace/default",
        pushline.address
    );
    let script = "for i in 100 101 102; do \
         echo -e \"# TYPE pushgateway_count counter\\npushgateway_count{name=\\\"client\\\"} $i\" \
         | curl -sS --fail --data-binary @- \"$PUSHGATEWAY_ENDPOINT\"; done";
    let status = std::process::Command::new("bash")
        .args(["-c", script])
        .env("PUSHGATEWAY_ENDPOINT", url)
        .status()
        .unwrap();
    assert!(status.success());
    let bytes = output.take_until(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count() == 3);
    for (line, count) in String::from_utf8(bytes).unwrap().lines().zip(100..) {
        let want = format!(
            "pushgateway,job=hello,name=client,namespace=default,node=n1,pod=p1 count={count} "
        );
        assert!(line.starts_with(&want), "{line}");
    }
}

#[test]
fn own_metrics_count_what_was_served() {
    let (pushline, _) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/j", "a_b 1\nc_d NaN\n").status, 200);
    assert_eq!(client.push("/metrics/job/j", "oops\n").status, 400);
    let answer = client.ask("GET", "/metrics", &[], b"");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "pushline_http_requests_total{code=\"200\",method=\"POST\"} 1",
        "pushline_http_requests_total{code=\"400\",method=\"POST\"} 1",
        "pushline_pushes_total{coding=\"identity\",format=\"text\"} 1",
        "pushline_pushes_refused_total{reason=\"malformed_text\"} 1",
        "pushline_pushes_refused_total{reason=\"stalled\"} 0",
        "pushline_push_body_bytes_total 14",
        "pushline_samples_read_total 2",
        "pushline_samples_skipped_total{reason=\"not_finite\"} 1",
        "pushline_lines_written_total 1",
        "pushline_ready 1",
        "pushline_queue_batches 0",
        "pushline_connections_open 1",
    ] {
        assert!(
            answer.text().lines().any(|found| found == line),
            "{line} is not in\n{}",
            answer.text()
        );
    }
    // Our own reader reads it, and it becomes lines.
    let text = answer.text().to_owned();
    assert_eq!(client.push("/metrics/job/own", &text).status, 200);
}

#[test]
fn a_socket_that_a_supervisor_hands_over_is_served() {
    // As systemd does: the socket is descriptor 3, LISTEN_PID the process itself.
    let script = "import os,socket,sys;s=socket.socket();s.bind((\"127.0.0.1\",0));s.listen();\
                  os.dup2(s.fileno(),3);os.set_inheritable(3,True);os.environ.update(LISTEN_FDS=\"1\",LISTEN_PID=str(os.getpid()));\
                  os.execv(sys.argv[1],sys.argv[1:])";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", script]).arg(command().get_program());
    let pushline = Pushline::spawn_with(python, "", Stdio::null());
    // The address that the harness asks for is another one: port 0 of the configuration is not bound.
    assert_eq!(crate::http::push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    pushline.log.wait_for_text("msg=writing");
    let text = String::from_utf8(pushline.log.snapshot()).unwrap();
    assert_eq!(text.matches("msg=listening").count(), 1, "{text}");
}
