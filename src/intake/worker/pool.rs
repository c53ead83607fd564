//! The fixed pool of threads: each receives a request of the bridge, has it served, and sees to its
//! answer, whatever happens.
//!
//! A panic while a request is served is answered with 500, and the thread goes on. One that comes
//! anywhere else ends its thread, which is told, and the client is answered all the same.

use crate::heartbeat::Heartbeats;
use crate::intake::bridge::{Answer, ReplyTo, Request, WorkerEnd};
use crate::observe::telemetry::Telemetry;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// What a thread of the pool does with its requests.
pub(super) trait Serve {
    /// What a request comes to.
    type Outcome;

    /// Serves a request. It may panic.
    fn serve(&mut self, request: &Request) -> Self::Outcome;

    /// Answers, or sees to it that somebody will.
    fn finish(&mut self, outcome: Self::Outcome, reply_to: ReplyTo);

    /// Answers after a panic, which its hook has logged: what was in hand may be half-done, so it
    /// is made anew.
    fn recover(&mut self, request: &Request) -> Answer;
}

/// What the pool is made of.
pub(super) struct Pool {
    pub(super) end: WorkerEnd,
    /// One beat a thread.
    pub(super) heartbeats: Arc<Heartbeats>,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Pool {
    /// Starts a thread for each beat. `on_lost` is called by one that ends, which none does by
    /// itself.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start<S: Serve + Send + 'static>(
        self,
        mut serve: impl FnMut() -> S,
        on_lost: impl Fn(&'static str) + Clone + Send + 'static,
    ) -> io::Result<()> {
        self.telemetry.workers.set(self.heartbeats.workers().len() as u64);
        for (number, beat) in self.heartbeats.workers().iter().enumerate() {
            let (end, beat) = (self.end.clone(), Arc::clone(beat));
            let telemetry = Arc::clone(&self.telemetry);
            let (mut serve, on_lost) = (serve(), on_lost.clone());
            let run = move || -> ! {
                loop {
                    let (request, reply_to) = end.receive();
                    telemetry.workers_busy.raise(1);
                    beat.work();
                    let outcome = catch_unwind(AssertUnwindSafe(|| serve.serve(&request)));
                    beat.rest();
                    telemetry.workers_busy.lower(1);
                    match outcome {
                        Ok(outcome) => {
                            end.give_back(request);
                            serve.finish(outcome, reply_to);
                        }
                        Err(_) => reply_to.answer(serve.recover(&request)),
                    }
                }
            };
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    on_lost("a worker panicked");
                }
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Examiner;
    use crate::intake::bridge::{self, GateEnd, Letter, Method};
    use crate::observe::log::{self, Level, Log, LogFormat};
    use crate::testing::child_process;
    use std::sync::mpsc::{self, Receiver};
    use std::time::{Duration, Instant};

    /// Serves as the target of a request says. No request is known to make a worker panic or hang,
    /// so this is how the pool meets one that does.
    struct Faulty;

    impl Serve for Faulty {
        type Outcome = Answer;

        fn serve(&mut self, request: &Request) -> Answer {
            match &*request.target {
                "/panic" => panic!("a fault was asked for"),
                "/hang" => loop {
                    thread::park();
                },
                _ => Answer::empty(if request.target == "/late" { 202 } else { 200 }),
            }
        }

        fn finish(&mut self, answer: Answer, reply_to: ReplyTo) {
            assert!(answer.status != 202, "a fault was asked for");
            reply_to.answer(answer);
        }

        fn recover(&mut self, _: &Request) -> Answer {
            Answer::defect()
        }
    }

    struct Started {
        gate: GateEnd,
        heartbeats: Arc<Heartbeats>,
        losses: Receiver<&'static str>,
    }

    fn started(threads: usize) -> Started {
        let (gate, end) = bridge::open().unwrap();
        let heartbeats = Arc::new(Heartbeats::new(threads));
        let telemetry = Arc::new(Telemetry::new());
        let pool = Pool { end, heartbeats: Arc::clone(&heartbeats), telemetry };
        let (lost, losses) = mpsc::channel();
        pool.start(|| Faulty, move |what| lost.send(what).unwrap()).unwrap();
        Started { gate, heartbeats, losses }
    }

    impl Started {
        fn send(&mut self, number: u64, target: &str) {
            let mut request = self.gate.spare();
            request.begin(Method::Push("POST"), target);
            self.gate.send(number, request);
            assert!(self.gate.flush().unwrap());
        }

        fn answer(&self) -> (u64, Answer) {
            let mut letters = Vec::new();
            while letters.is_empty() {
                thread::yield_now();
                self.gate.mailbox().take(&mut letters);
            }
            match letters.pop() {
                Some(Letter::Answer { number, answer }) => (number, answer),
                other => panic!("{other:?}"),
            }
        }

        /// Whether the watchdog's question is answered soon.
        fn is_asked_well(&mut self) -> bool {
            self.gate.send_probe();
            assert!(self.gate.flush().unwrap());
            let deadline = Instant::now() + Duration::from_millis(300);
            let mut letters = Vec::new();
            while letters.is_empty() && Instant::now() < deadline {
                self.gate.mailbox().take(&mut letters);
                thread::yield_now();
            }
            matches!(letters[..], [Letter::ProbeAnswered])
        }
    }

    #[test]
    fn a_panic_is_answered_with_500_and_logged_once_and_its_worker_goes_on() {
        const PANICS: usize = 3;
        let name = "intake::worker::pool::tests::\
                    a_panic_is_answered_with_500_and_logged_once_and_its_worker_goes_on";
        if let Some(stderr) = child_process::stderr_of(name) {
            let logged: Vec<_> =
                stderr.lines().filter(|line| line.contains("a fault was asked for")).collect();
            assert_eq!(logged.len(), PANICS, "{stderr}");
            for line in logged {
                for part in [
                    "level=error msg=\"a thread panicked",
                    "thread=worker-0 at=src/intake/worker/pool.rs:",
                ] {
                    assert!(line.contains(part), "{part} is not in {line}");
                }
            }
            assert_eq!(stderr.matches("panicked").count(), PANICS, "{stderr}");
            return;
        }
        log::take_panics(&Arc::new(Log::new(Level::Error, LogFormat::Logfmt)));
        let mut pool = started(1);
        for number in 1..=PANICS as u64 {
            pool.send(number, "/panic");
            let (answered, answer) = pool.answer();
            assert_eq!((answered, answer.status), (number, 500));
            assert_eq!(&*answer.body, b"a defect of pushline, see its log\n");
            pool.send(number, "/fine");
            assert_eq!(pool.answer().1.status, 200, "the request after a panic");
        }
        assert_eq!(pool.losses.try_recv(), Err(mpsc::TryRecvError::Empty));
    }

    #[test]
    fn the_client_of_a_worker_that_is_lost_is_told_and_so_is_the_process() {
        let name = "intake::worker::pool::tests::\
                    the_client_of_a_worker_that_is_lost_is_told_and_so_is_the_process";
        if child_process::stderr_of(name).is_some() {
            return;
        }
        let mut pool = started(2);
        pool.send(7, "/late");
        let (number, answer) = pool.answer();
        assert_eq!((number, answer.status), (7, 500));
        assert_eq!(pool.losses.recv(), Ok("a worker panicked"));
        pool.send(8, "/fine");
        assert_eq!(pool.answer().1.status, 200, "the other one goes on");
    }

    #[test]
    fn workers_that_hang_are_seen_once_all_of_them_do() {
        let mut pool = started(2);
        let mut examiner = Examiner::new(&pool.heartbeats, Duration::ZERO, Instant::now());
        for hanging in 0..3 {
            let deadline = Instant::now() + Duration::from_secs(30);
            while examiner.stuck_workers(&pool.heartbeats, Instant::now()) < hanging {
                assert!(Instant::now() < deadline, "{hanging} hang, and are not seen");
                thread::yield_now();
            }
            assert_eq!(pool.is_asked_well(), hanging < 2, "{hanging} hang");
            if hanging < 2 {
                pool.send(hanging as u64 + 1, "/hang");
            }
        }
    }

    #[test]
    fn a_request_that_no_worker_has_taken_can_be_withdrawn_once() {
        let mut pool = started(1);
        pool.send(1, "/hang");
        let mut examiner = Examiner::new(&pool.heartbeats, Duration::ZERO, Instant::now());
        while examiner.stuck_workers(&pool.heartbeats, Instant::now()) < 1 {
            thread::yield_now();
        }
        pool.send(2, "/fine");
        assert!(pool.gate.withdraw(2) && !pool.gate.withdraw(2));
        assert!(!pool.gate.withdraw(1), "a worker has it");
    }
}
