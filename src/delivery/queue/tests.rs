use super::*;
use crate::delivery::condition::{FinalEnd, NotReady};
use crate::observe::log::{Level, Log, LogFormat};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// Tells its outcome.
#[derive(Debug)]
struct Told(mpsc::Sender<Result<(), Undelivered>>);

impl Reply for Told {
    fn answer(self, outcome: Result<(), Undelivered>) {
        self.0.send(outcome).unwrap();
    }
}

/// A queue, and its warden at work.
fn queue(acknowledge: Acknowledge, ack_timeout: Duration) -> (QueueSender<Told>, Receiver<Told>) {
    let options = QueueOptions { bytes_max: 10_000, acknowledge, ack_timeout };
    let (sender, receiver, warden) = channel(options, Arc::new(Telemetry::new()));
    let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
    warden.spawn(log, |_| {}).unwrap();
    (sender, receiver)
}

/// Submits lines; where the outcome will be told.
fn submit(sender: &QueueSender<Told>, lines: Vec<u8>) -> mpsc::Receiver<Result<(), Undelivered>> {
    let (told, outcome) = mpsc::channel();
    sender.submit(lines, 1, Told(told));
    outcome
}

fn next_batch(receiver: &Receiver<Told>) -> Batch {
    match receiver.receive(LONG) {
        Some(WriterOrder::Deliver(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn batches_come_out_in_the_order_in_which_they_were_accepted() {
    let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
    for number in 0..50_u8 {
        assert_eq!(submit(&sender, vec![number]).recv(), Ok(Ok(())));
    }
    for number in 0..50_u8 {
        let batch = next_batch(&receiver);
        assert_eq!(batch.lines, [number]);
        receiver.acknowledge(&mut vec![batch]);
    }
}

#[test]
fn a_written_push_is_answered_once_it_is_written_and_not_before() {
    let (sender, mut receiver) = queue(Acknowledge::Written, LONG);
    let outcomes = [1, 2, 3].map(|number| submit(&sender, vec![number]));
    let [one, two, three] = [(); 3].map(|()| next_batch(&receiver));
    receiver.acknowledge(&mut vec![two]);
    assert_eq!(outcomes[1].recv(), Ok(Ok(())), "whatever is before it");
    assert!(outcomes[0].try_recv().is_err() && outcomes[2].try_recv().is_err());
    receiver.acknowledge(&mut vec![one, three]);
    assert_eq!((outcomes[0].recv(), outcomes[2].recv()), (Ok(Ok(())), Ok(Ok(()))));
    assert!(receiver.queue.lock().replies.is_empty());
    assert_eq!(receiver.queue.lock().bytes, 0);
}

#[test]
fn a_push_that_timed_out_is_told_once_and_delivered_all_the_same() {
    let (sender, mut receiver) = queue(Acknowledge::Written, SHORT);
    let late = submit(&sender, b"late".to_vec());
    assert_eq!(late.recv(), Ok(Err(Undelivered::TimedOut { after: SHORT, because: None })));
    let batch = next_batch(&receiver);
    assert_eq!(batch.lines, b"late");
    receiver.acknowledge(&mut vec![batch]);
    assert!(late.recv().is_err(), "nothing more is told");
    let next = submit(&sender, b"next".to_vec());
    receiver.acknowledge(&mut vec![next_batch(&receiver)]);
    assert_eq!(next.recv(), Ok(Ok(())));
}

#[test]
fn the_queue_holds_so_many_bytes_and_no_more() {
    let (sender, mut receiver) = queue(Acknowledge::Queued, SHORT);
    let full = Ok(Err(Undelivered::Full { bytes_max: 10_000, because: None }));
    let lines = vec![b'x'; 4000];
    assert_eq!(submit(&sender, lines.clone()).recv(), Ok(Ok(())));
    assert_eq!(submit(&sender, lines.clone()).recv(), Ok(Ok(())));
    assert_eq!(submit(&sender, lines.clone()).recv(), full.clone());
    receiver.acknowledge(&mut vec![next_batch(&receiver)]);
    assert_eq!(submit(&sender, lines).recv(), Ok(Ok(())));
    receiver.acknowledge(&mut vec![next_batch(&receiver), next_batch(&receiver)]);
    // One that alone is larger than the bound passes when it is alone.
    assert_eq!(submit(&sender, vec![b'x'; 20_000]).recv(), Ok(Ok(())));
    assert_eq!(submit(&sender, vec![b'x']).recv(), full);
}

#[test]
fn what_has_no_room_yet_waits_outside_in_order_and_bounded() {
    let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
    assert_eq!(submit(&sender, vec![0; 9000]).recv(), Ok(Ok(())));
    // The last of these would fit into the queue, but others were before it.
    let waiting = [(1, 5000), (2, 4000), (3, 10)].map(|(byte, len)| {
        let outcome = submit(&sender, vec![byte; len]);
        assert!(outcome.try_recv().is_err());
        outcome
    });
    let full = Ok(Err(Undelivered::Full { bytes_max: 10_000, because: None }));
    assert_eq!(submit(&sender, vec![4; 6000]).recv(), full, "as much waits as may");
    receiver.acknowledge(&mut vec![next_batch(&receiver)]);
    assert_eq!(waiting.map(|outcome| outcome.recv()), [const { Ok(Ok(())) }; 3]);
    assert_eq!([(); 3].map(|()| next_batch(&receiver).lines[0]), [1, 2, 3]);
}

#[test]
fn what_waits_outside_is_told_when_the_queue_closes_or_ends() {
    for (ends, want) in [(false, Undelivered::ShuttingDown), (true, Undelivered::OutputEnded)] {
        let (sender, receiver) = queue(Acknowledge::Written, LONG);
        let inside = submit(&sender, vec![0; 9000]);
        let outside = submit(&sender, vec![1; 6000]);
        if ends {
            receiver.end(FinalEnd::Output)
        } else {
            sender.close(Instant::now() + LONG)
        }
        assert_eq!(outside.recv(), Ok(Err(want)));
        assert!(inside.try_recv().is_err(), "it may be written");
    }
}

#[test]
fn a_raised_bound_lets_in_who_is_waiting_for_room() {
    let (sender, receiver) = queue(Acknowledge::Queued, LONG);
    assert_eq!(submit(&sender, vec![b'x'; 8000]).recv(), Ok(Ok(())));
    let waiting = submit(&sender, vec![b'y'; 8000]);
    assert!(waiting.try_recv().is_err());
    let acknowledge = Acknowledge::Queued;
    sender.replace(QueueOptions { bytes_max: 20_000, acknowledge, ack_timeout: LONG });
    assert_eq!(waiting.recv(), Ok(Ok(())));
    assert_eq!(next_batch(&receiver).lines.len(), 8000);
}

#[test]
fn a_lowered_bound_keeps_what_is_in_the_queue_and_refuses_what_comes() {
    let (sender, mut receiver) = queue(Acknowledge::Queued, SHORT);
    assert_eq!(submit(&sender, vec![b'x'; 8000]).recv(), Ok(Ok(())));
    let acknowledge = Acknowledge::Queued;
    sender.replace(QueueOptions { bytes_max: 4000, acknowledge, ack_timeout: SHORT });
    let full = Ok(Err(Undelivered::Full { bytes_max: 4000, because: None }));
    assert_eq!(submit(&sender, vec![b'y']).recv(), full);
    let batch = next_batch(&receiver);
    assert_eq!(batch.lines.len(), 8000);
    receiver.acknowledge(&mut vec![batch]);
    assert_eq!(submit(&sender, vec![b'y']).recv(), Ok(Ok(())));
}

#[test]
fn a_push_after_the_change_is_acknowledged_as_the_new_options_say() {
    let (sender, receiver) = queue(Acknowledge::Queued, LONG);
    assert_eq!(submit(&sender, vec![b'x']).recv(), Ok(Ok(())));
    let acknowledge = Acknowledge::Written;
    sender.replace(QueueOptions { bytes_max: 10_000, acknowledge, ack_timeout: SHORT });
    let timed_out = Ok(Err(Undelivered::TimedOut { after: SHORT, because: None }));
    assert_eq!(submit(&sender, vec![b'y']).recv(), timed_out, "nobody writes");
    assert!(next_batch(&receiver).reply.is_none() && next_batch(&receiver).reply.is_some());
}

#[test]
fn lines_of_our_own_wait_for_nothing_and_take_no_room_from_pushes() {
    let (sender, mut receiver) = queue(Acknowledge::Written, LONG);
    assert!(sender.offer(vec![b'x'; 20_000], 1));
    assert!(!sender.offer(b"again".to_vec(), 1), "those before are not taken yet");
    let pushed = submit(&sender, b"push".to_vec());
    let batches = [next_batch(&receiver), next_batch(&receiver)];
    assert_eq!(batches.each_ref().map(Batch::is_push), [false, true]);
    let telemetry = Arc::clone(&receiver.queue.telemetry);
    assert_eq!(telemetry.queue_batches.get(), 1, "the push");
    receiver.acknowledge(&mut batches.into());
    assert_eq!(pushed.recv(), Ok(Ok(())));
    assert_eq!(telemetry.queue_batches.get(), 0);
    assert!(sender.offer(b"again".to_vec(), 1));
    receiver.acknowledge(&mut vec![next_batch(&receiver)]);
    sender.close(Instant::now());
    assert!(!sender.offer(b"late".to_vec(), 1), "the queue is closed");
}

#[test]
fn a_stuck_output_refuses_at_once_and_takes_again_when_it_flows() {
    let (sender, receiver) = queue(Acknowledge::Queued, SHORT);
    let state = receiver.state();
    state.waits();
    assert_eq!(sender.ready(), Ok(()), "not yet");
    while sender.ready().is_ok() {
        thread::yield_now();
    }
    let refused = submit(&sender, vec![b'x']).recv();
    assert!(matches!(refused, Ok(Err(Undelivered::Stalled { .. }))), "{refused:?}");
    state.flows();
    assert_eq!(submit(&sender, vec![b'x']).recv(), Ok(Ok(())));
    sender.close(Instant::now());
    assert_eq!(sender.ready(), Err(NotReady::ShuttingDown));
    receiver.end(FinalEnd::Output);
    assert_eq!(sender.ready(), Err(NotReady::OutputEnded));
}

#[test]
fn the_buffers_of_written_batches_are_used_again() {
    let (sender, mut receiver) = queue(Acknowledge::Queued, LONG);
    let mut lines = sender.spare();
    lines.extend_from_slice(&[b'x'; 40_000]);
    let place = lines.as_ptr();
    assert_eq!(submit(&sender, lines).recv(), Ok(Ok(())));
    receiver.acknowledge(&mut vec![next_batch(&receiver)]);
    let again = sender.spare();
    // Its length, too: it is room that need not be filled with zeros again.
    assert_eq!((again.len(), again.as_ptr()), (40_000, place));
}
