//! Patterns of names: `*` is any run of characters, the empty one too, `?` is any one character,
//! and everything else is itself.
//!
//! ```text
//! pattern = *( "*" / "?" / char )
//! ```
//!
//! A pattern has to match the whole of a name. There is no escape: `?` also matches a `*` or a `?`,
//! which only a UTF-8 name has. The operator writes the patterns, but pushers send the names, so a
//! match must not go astray: at most the length of the name times that of the pattern in steps, no
//! recursion, no memory.

use std::fmt;
use std::str::Chars;

/// A pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(text: String) -> Pattern {
        Pattern(text)
    }

    /// Whether it matches all of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut name) = (self.0.chars(), name.chars());
        // What is after the last `*`, and the name from where that was held against it. Only the
        // last one is tried again: what is before it has matched as early as it can.
        let mut last_star: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let is_step = match pattern.next() {
                Some('*') => {
                    last_star = Some((pattern.clone(), name.clone()));
                    continue;
                }
                Some(wanted) => match name.next() {
                    Some(found) => wanted == '?' || wanted == found,
                    // A longer run for the `*` leaves even less of the name.
                    None => return false,
                },
                None if name.as_str().is_empty() => return true,
                None => false,
            };
            if is_step {
                continue;
            }
            let Some((after, from)) = &mut last_star else { return false };
            if after.as_str().is_empty() {
                return true;
            }
            from.next();
            (pattern, name) = (after.clone(), from.clone());
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    /// The definition, word for word.
    fn matches_plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            (['*', rest @ ..], _) => {
                (0..=name.len()).any(|run| matches_plainly(rest, &name[run..]))
            }
            ([wanted, rest @ ..], [found, after @ ..]) => {
                (*wanted == '?' || wanted == found) && matches_plainly(rest, after)
            }
            (_, []) => false,
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        for (pattern, name, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "go_goroutines", true),
            ("go_*", "go_goroutines", true),
            ("go_*", "go_", true),
            ("go_*", "argo_x", false),
            ("*_total", "http_requests_total", true),
            ("*_total", "http_total_requests", false),
            ("*_total", "a_total_b_total", true),
            ("node_*_bytes", "node_disk_read_bytes", true),
            ("node_*_bytes", "node_bytes", false),
            ("up", "up", true),
            ("up", "up_", false),
            ("U*", "up", false),
            ("?", "é", true),
            ("?", "", false),
            ("a?c", "a*c", true),
            ("**a**", "bab", true),
            ("*日?", "x日本", true),
        ] {
            let found = Pattern::new(pattern.to_owned()).matches(name);
            assert_eq!(found, want, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_match_as_their_definition_says() {
        const CHARS: [char; 5] = ['a', 'b', '日', '*', '?'];
        let mut random = Random::new(0x2545_f491_4f6c_dd1d);
        let mut matched = 0;
        for _ in 0..40_000 {
            let mut text = |len: usize, kinds: usize| -> Vec<char> {
                (0..len).map(|_| CHARS[random.below(kinds)]).collect()
            };
            let (pattern, name) = (text(7, 5), text(9, 3));
            for (pattern_len, name_len) in [(3, 4), (5, 5), (7, 9)] {
                let (pattern, name) = (&pattern[..pattern_len], &name[..name_len]);
                let found =
                    Pattern::new(pattern.iter().collect()).matches(&String::from_iter(name));
                assert_eq!(found, matches_plainly(pattern, name), "{pattern:?} {name:?}");
                matched += usize::from(found);
            }
        }
        assert!(matched > 3000, "only {matched} matched");
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_go_astray() {
        // With a choice at every `*` this would take longer than the universe is old.
        let pattern = Pattern::new("a*".repeat(100) + "b");
        assert!(!pattern.matches(&"a".repeat(10_000)));
        assert!(pattern.matches(&("a".repeat(10_000) + "b")));
    }
}
