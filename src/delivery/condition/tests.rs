use super::*;

const NEVER: Duration = Duration::from_secs(3600);
const AT_ONCE: Duration = Duration::ZERO;

fn new(ack_timeout: Duration) -> OutputState {
    OutputState::new(ack_timeout, Arc::new(Telemetry::new()))
}

/// Waits until some time has passed: with no timeout, any wait is a stall.
fn stuck(state: &OutputState) {
    state.waits();
    while state.stuck_for().is_zero() {
        std::thread::yield_now();
    }
}

fn word(state: &OutputState) -> &'static str {
    match state.look() {
        Condition::Flowing { .. } => "flowing",
        Condition::Spooling { .. } => "spooling",
        Condition::NotReady(not_ready) => not_ready.word(),
    }
}

/// The answer and the condition, which never differ.
fn is_ready(state: &OutputState) -> bool {
    let ready = state.ready();
    assert_eq!(ready.is_ok(), !matches!(state.look(), Condition::NotReady(_)), "{ready:?}");
    ready.is_ok()
}

#[test]
fn an_output_is_stalled_while_it_takes_nothing_new_for_too_long() {
    let state = new(AT_ONCE);
    assert!(is_ready(&state));
    stuck(&state);
    assert!(!is_ready(&state));
    assert_eq!((word(&state), state.stalls()), ("stalled", 0));
    state.flows();
    assert!(is_ready(&state));
    assert_eq!(state.stalls(), 1, "it is counted at its end");
    let state = new(NEVER);
    stuck(&state);
    assert!(is_ready(&state), "not for long enough");
    assert!(matches!(state.look(), Condition::Flowing { waited } if !waited.is_zero()));
    let before = state.stuck_for();
    state.advances();
    assert!(state.stuck_for() <= before.max(Duration::from_secs(1)), "it begins to wait anew");
    assert_ne!(state.stuck_since.load(Ordering::Relaxed), 0, "more of the block waits");
}

#[test]
fn a_spool_is_not_ready_while_its_disk_hangs() {
    let state = new(AT_ONCE);
    state.spool(SpoolCondition::Spooling);
    assert!(is_ready(&state));
    state.with_disk(|| {
        while state.disk_for().is_zero() {
            std::thread::yield_now();
        }
        let why = state.ready().unwrap_err().to_string();
        assert!(why.ends_with(" s (the disk of the spool does not answer)"), "{why}");
        assert_eq!((word(&state), state.words().as_deref()), ("stalled", Some(DISK_HANGS)));
    });
    assert!(is_ready(&state));
    assert_eq!(word(&state), "spooling");
    // While nothing goes to the spool, its disk holds up nothing.
    state.spool(SpoolCondition::Empty);
    state.with_disk(|| {
        while state.disk_for().is_zero() {
            std::thread::yield_now();
        }
        assert!(is_ready(&state));
        assert_eq!((word(&state), state.words()), ("flowing", None));
    });
}

#[test]
fn a_mistake_of_the_operator_is_unready_at_once_until_something_is_taken() {
    let state = new(NEVER);
    state.is_misconfigured("401 from the store", Duration::from_secs(30));
    let said = state.ready().unwrap_err().to_string();
    assert_eq!(
        said,
        "the output needs a change of configuration: 401 from the store, for 0 s. It is tried again in 30 s"
    );
    // What goes wrong besides does not excuse it.
    state.fails("connection refused", AT_ONCE);
    assert_eq!(word(&state), "misconfigured");
    assert!(!is_ready(&state));
    state.advances();
    assert!(is_ready(&state), "it takes a part of a block");
    assert_eq!(state.failure(), None);
    state.is_misconfigured("401 from the store", AT_ONCE);
    assert!(!is_ready(&state));
    state.flows();
    assert!(is_ready(&state));
    state.fails("connection refused", AT_ONCE);
    assert!(is_ready(&state), "it fails, but not for long");
}

#[test]
fn a_failure_is_told_from_its_beginning_on_with_the_next_try() {
    let state = new(NEVER);
    assert_eq!(state.failure(), None);
    state.fails("connection refused", Duration::from_secs(3));
    assert!(is_ready(&state), "not for long enough");
    let first = state.failure().unwrap();
    assert_eq!(&*first.words, "connection refused");
    assert!(first.next_try > Duration::from_secs(2) && first.next_try <= Duration::from_secs(3));
    state.fails("connection reset", AT_ONCE);
    let second = state.failure().unwrap();
    assert_eq!((&*second.words, second.next_try), ("connection reset", AT_ONCE));
    assert!(second.for_time >= first.for_time, "it is one failure that goes on");
    state.spool(SpoolCondition::Spooling);
    assert!(state.failure().is_some(), "a spool does not mend it");
    state.flows();
    assert_eq!(state.failure(), None);
}

#[test]
fn a_stalled_output_says_with_what_it_fails() {
    let state = new(AT_ONCE);
    state.fails("connection refused", AT_ONCE);
    stuck(&state);
    let said = state.ready().unwrap_err().to_string();
    assert!(said.starts_with("the output has taken nothing for 0 s (connection refu"), "{said}");
    let short = state.ready().unwrap_err().in_short(&"tcp://db:1");
    assert_eq!(short, "tcp://db:1 takes no lines (connection refused)");
}

#[test]
fn while_a_spool_has_room_everything_is_ready_but_the_end() {
    let state = new(AT_ONCE);
    state.reader_refuses("the reader closes its connection");
    assert!(!is_ready(&state));
    state.spool(SpoolCondition::Spooling);
    assert!(is_ready(&state));
    assert!(matches!(
        state.look(),
        Condition::Spooling { because: Some(NotReady::ReaderRefuses { .. }), .. }
    ));
    state.spool(SpoolCondition::Full { words: "1 MiB".into() });
    assert_eq!((is_ready(&state), word(&state)), (false, "spool_full"));
    state.spool(SpoolCondition::Absent);
    assert_eq!((is_ready(&state), word(&state)), (false, "reader_refuses"));
    // One that is empty takes over as well.
    state.spool(SpoolCondition::Empty);
    assert!(is_ready(&state));
    assert!(matches!(
        state.look(),
        Condition::Spooling { because: Some(NotReady::ReaderRefuses { .. }), .. }
    ));
    state.flows();
    assert!(is_ready(&state));
    stuck(&state);
    assert_eq!((is_ready(&state), word(&state)), (false, "stalled"), "it did not take over");
    state.flows();
    state.spool(SpoolCondition::Spooling);
    state.close(Instant::now());
    assert_eq!((is_ready(&state), word(&state)), (false, "shutting_down"));
    state.end(FinalEnd::Output);
    assert_eq!((is_ready(&state), word(&state)), (false, "output_ended"));
    state.close(Instant::now());
    assert_eq!(word(&state), "output_ended", "it has not come back");
}

#[test]
fn a_pause_ends_when_the_queue_is_closed_and_when_the_output_is_to_be_opened_anew() {
    let state = Arc::new(new(NEVER));
    let pausing = Arc::clone(&state);
    let paused = std::thread::spawn(move || pausing.pause(NEVER));
    state.ask_to_reopen();
    paused.join().unwrap();
    assert!(state.take_reopen());
    assert!(!state.take_reopen(), "it is told once");
    let pausing = Arc::clone(&state);
    let paused = std::thread::spawn(move || pausing.pause(NEVER));
    state.close(Instant::now() + NEVER);
    paused.join().unwrap();
    let end = Instant::now();
    let closed = new(NEVER);
    closed.close(end);
    closed.pause(AT_ONCE);
    closed.pause(NEVER);
    assert!(end.elapsed() < NEVER, "nothing is waited for beyond the deadline");
}
