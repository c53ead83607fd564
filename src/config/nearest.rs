//! A name that is not known → the known one that was meant.
//!
//! Names are compared by their edit distance: how many characters must be added, removed, replaced
//! or exchanged with their neighbour to make one of the other (Damerau's, in its restricted form).
//! A name is near when one in three of its characters, rounded down but at least one, is wrong.

/// The longest name that is compared, in bytes: far longer than any that there is.
const NAME_BYTES_MAX: usize = 128;

/// The one of `known` that is nearest to `name`, where one is near.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let distances = known.into_iter().map(|known| (distance(name, known), known));
    let (found, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (found <= (name.chars().count() / 3).max(1)).then_some(known)
}

/// The edit distance of two names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The rows of the table for the characters of `a` before the last one, and with it.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, &of_a) in a.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &of_b) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(of_a != of_b);
            let removed = at(&last, column + 1) + 1;
            let added = at(&next, column) + 1;
            let mut least = replaced.min(removed).min(added);
            let is_exchange = row > 0
                && column > 0
                && a.get(row - 1) == Some(&of_b)
                && b.get(column - 1) == Some(&of_a);
            if is_exchange {
                least = least.min(at(&before_last, column - 1) + 1);
            }
            next.push(least);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_least_number_of_slips() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("listn", "listen", 1),
            ("lisstens", "listen", 2),
            ("levle", "level", 1),
            ("ack", "back", 1),
            ("ca", "abc", 3),
            ("übel", "uebel", 2),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn only_a_name_that_is_near_is_meant() {
        const KNOWN: [&str; 4] = ["listen", "level", "ack", "ack_timeout"];
        for (name, want) in [
            ("listn", Some("listen")),
            ("levle", Some("level")),
            ("akc", Some("ack")),
            ("ak", Some("ack")),
            ("x", None),
            ("timeout", None),
            ("ack_time_out", Some("ack_timeout")),
        ] {
            assert_eq!(nearest(name, KNOWN), want, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(NAME_BYTES_MAX + 1), ["x"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
