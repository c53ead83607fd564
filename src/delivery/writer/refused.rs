//! The lines of a block that the consumer refused → what the pusher of each of its pushes is told.

use crate::delivery::queue::Undelivered;
use crate::delivery::sink::{Block, RefusedLines, Taken, count_lines};
use crate::observe::telemetry::Telemetry;
use crate::push::sample::Quoted;
use std::ops::Range;

/// Counts what is taken of a block; for each push of it, in order, why it is not answered with 200,
/// or nothing where all of them are.
pub(super) fn count(
    telemetry: &Telemetry,
    block: &Block,
    taken: &Taken,
) -> Vec<Option<Undelivered>> {
    let mut bytes = block.bytes().len() as u64;
    let mut lines = block.line_count();
    let mut undelivered = Vec::new();
    if let Taken::AllBut(refused) = taken {
        bytes -= refused.iter().map(|part| part.bytes.len() as u64).sum::<u64>();
        lines -= line_count(block, refused);
        undelivered = by_push(block, refused);
    }
    telemetry.bytes_written.add(bytes);
    telemetry.lines_written.add(lines);
    undelivered
}

/// For each push of the block, in order: why it is not answered with 200, if it is not.
fn by_push(block: &Block, refused: &[RefusedLines]) -> Vec<Option<Undelivered>> {
    let one = |(push, lines)| why_not(block, push, lines, refused);
    block.pushes().map(one).collect()
}

fn why_not(
    block: &Block,
    push: Range<usize>,
    lines: u32,
    refused: &[RefusedLines],
) -> Option<Undelivered> {
    let shared = |part: &RefusedLines| {
        let shared = part.bytes.start.max(push.start)..part.bytes.end.min(push.end);
        block.slice(shared)
    };
    let mut of_push = refused.iter().filter(|part| !shared(part).is_empty()).peekable();
    let first = *of_push.peek()?;
    let line = shared(first).split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(Undelivered::LinesRefused {
        first: Quoted(line).to_string().into(),
        words: first.words.as_str().into(),
        refused: of_push.map(|part| count_lines(shared(part))).sum(),
        lines: u64::from(lines),
    })
}

/// How many lines were refused.
fn line_count(block: &Block, refused: &[RefusedLines]) -> u64 {
    refused.iter().map(|part| count_lines(block.slice(part.bytes.clone()))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::telemetry::RejectReason;

    fn part(bytes: Range<usize>, words: &str) -> RefusedLines {
        let reason = RejectReason::Refused;
        RefusedLines { bytes, reason, status: Some(400), words: words.to_owned() }
    }

    fn refusal(refused: u64, lines: u64, first: &str, words: &str) -> Option<Undelivered> {
        let (first, words) = (first.into(), words.into());
        Some(Undelivered::LinesRefused { refused, lines, first, words })
    }

    #[test]
    fn each_push_is_told_of_its_own_lines_and_of_no_others() {
        let mut block = Block::default();
        for (lines, count) in [("a 1\nb 2\nc 3\n", 3), ("d 4\n", 1), ("e 5\nf 6\n", 2)] {
            block.append(lines.as_bytes(), count);
        }
        for (parts, want) in [
            (vec![], [None, None, None]),
            (vec![part(4..8, "no")], [refusal(1, 3, "\"b 2\"", "no"), None, None]),
            (
                vec![part(0..4, "one"), part(8..12, "two"), part(20..24, "three")],
                [refusal(2, 3, "\"a 1\"", "one"), None, refusal(1, 2, "\"f 6\"", "three")],
            ),
            // What could not be told apart is refused together.
            (
                vec![part(8..20, "all")],
                [
                    refusal(1, 3, "\"c 3\"", "all"),
                    refusal(1, 1, "\"d 4\"", "all"),
                    refusal(1, 2, "\"e 5\"", "all"),
                ],
            ),
        ] {
            assert_eq!(by_push(&block, &parts), want, "{parts:?}");
            let told: u64 = parts.iter().map(|part| (part.bytes.len() / 4) as u64).sum();
            assert_eq!(line_count(&block, &parts), told);
        }
    }
}
