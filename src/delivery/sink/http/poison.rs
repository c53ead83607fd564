//! Which part of a block is sent alone, in search of a line that a store takes.
//!
//! The parts are the halves of the block, then its quarters, and so on up to [`PARTS_MAX`]th parts,
//! and then the halves again: a store that was in trouble may be well by now. They are cut between
//! lines. In a block of which few lines are poison one of the first parts has none of them.

/// How finely a block is cut at most.
const PARTS_MAX: usize = 32;
/// All parts of all sizes: 2 + 4 + … + [`PARTS_MAX`].
const PROBES_MAX: usize = 2 * PARTS_MAX - 2;

/// The part to send after `probes` others, and how many there are with it; none where the lines
/// cannot be cut.
pub(super) fn next_part(lines: &[u8], probes: usize) -> Option<(&[u8], usize)> {
    // Small parts of few lines may be empty, or those that a larger cut has given already.
    (probes..probes + PROBES_MAX).find_map(|probe| {
        let part = part(lines, probe % PROBES_MAX);
        (!part.is_empty() && part.len() < lines.len()).then_some((part, (probe + 1) % PROBES_MAX))
    })
}

/// Part 0 and 1 are the halves, 2 to 5 the quarters.
fn part(lines: &[u8], probe: usize) -> &[u8] {
    let count = 1_usize << (probe + 2).ilog2();
    let index = probe + 2 - count;
    // OK because an index and a rest are small, and a product of the whole length might not fit.
    let cut = |index: usize| {
        line_start(lines, lines.len() / count * index + lines.len() % count * index / count)
    };
    lines.get(cut(index)..cut(index + 1)).unwrap_or_default()
}

/// The first start of a line at `near` or after it.
fn line_start(lines: &[u8], near: usize) -> usize {
    let Some(before) = near.checked_sub(1) else { return 0 };
    let rest = lines.get(before..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| before + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_each_size_are_the_block_and_each_is_of_whole_lines() {
        let lines: String = (0..100).map(|at| format!("m n={at} 1\n")).collect();
        let lines = lines.as_bytes();
        let (mut probes, mut found) = (0, Vec::new());
        for _ in 0..PROBES_MAX {
            let (part, after) = next_part(lines, probes).unwrap();
            assert!(part.starts_with(b"m ") && part.ends_with(b"\n"));
            found.push(part);
            probes = after;
        }
        assert_eq!(probes, 0, "they begin again");
        for parts in [&found[..2], &found[2..6], &found[30..]] {
            assert_eq!(parts.concat(), lines);
        }
    }

    #[test]
    fn what_cannot_be_cut_has_no_parts_and_two_lines_have_two() {
        assert_eq!(next_part(b"", 0), None);
        assert_eq!(next_part(b"m n=1 1\n", 0), None);
        let (mut probes, mut found) = (0, Vec::new());
        for _ in 0..8 {
            let (part, after) = next_part(b"long line n=1 1\nm 2\n", probes).unwrap();
            found.push(part);
            probes = after;
        }
        assert!(found.contains(&&b"long line n=1 1\n"[..]), "{found:?}");
        assert!(found.contains(&&b"m 2\n"[..]), "{found:?}");
    }
}
