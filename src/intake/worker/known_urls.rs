//! The groups that a worker met last: pushers come again and again with the same URL, and then it
//! need not be taken apart again.

use super::Settings;
use crate::limits::{KNOWN_GROUPS_MAX, KNOWN_TARGET_BYTES_MAX};
use crate::push::route::Group;
use std::sync::Arc;

/// Which input a push is for, and its labels.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) input: usize,
    pub(super) group: Arc<Group>,
}

/// What is known, by the raw target of the request.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Those that it was found by: with others, nothing is known.
    settings: Option<Arc<Settings>>,
    known: Vec<(String, Target)>,
    /// The place of the next one, once all are taken.
    next: usize,
}

impl Groups {
    /// What a push with that target is for, where it is known.
    pub(super) fn find(&self, settings: &Arc<Settings>, target: &str) -> Option<Target> {
        self.settings.as_ref().filter(|known| Arc::ptr_eq(known, settings))?;
        let (_, found) = self.known.iter().find(|(known, _)| known == target)?;
        Some(found.clone())
    }

    /// Notes what a push with that target is for. Long ones are not kept.
    pub(super) fn note(&mut self, settings: &Arc<Settings>, target: &str, found: &Target) {
        if target.len() > KNOWN_TARGET_BYTES_MAX {
            return;
        }
        if !self.settings.as_ref().is_some_and(|known| Arc::ptr_eq(known, settings)) {
            self.settings = Some(Arc::clone(settings));
            self.known.clear();
            self.next = 0;
        }
        let entry = (target.to_owned(), found.clone());
        match self.known.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.known.push(entry),
        }
        self.next = (self.next + 1) % KNOWN_GROUPS_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push;
    use crate::push::route;
    use crate::push::sample::Names;

    fn settings() -> Arc<Settings> {
        let push = push::PushLimits { decoded_bytes_max: 1, lines_bytes_max: 1 };
        Arc::new(Settings::new(Vec::new(), push))
    }

    fn target(number: usize) -> (String, Target) {
        let job = number.to_string();
        let group = Arc::new(route::group(job.as_bytes(), &[], Names::Legacy).unwrap());
        (format!("/metrics/job/{job}"), Target { input: number, group })
    }

    #[test]
    fn the_last_groups_are_known_as_long_as_the_settings_are_the_same() {
        let (first, other) = (settings(), settings());
        let mut groups = Groups::default();
        for number in 0..KNOWN_GROUPS_MAX + 3 {
            let (text, found) = target(number);
            assert!(groups.find(&first, &text).is_none());
            groups.note(&first, &text, &found);
            assert_eq!(groups.find(&first, &text).map(|found| found.input), Some(number));
            assert!(groups.find(&other, &text).is_none(), "other settings");
        }
        let is_known = |number: usize| groups.find(&first, &target(number).0).is_some();
        assert!((0..3).all(|number| !is_known(number)), "the oldest made room");
        assert!((3..KNOWN_GROUPS_MAX + 3).all(is_known));
        groups.note(&other, "/x", &target(1).1);
        assert!(groups.find(&other, "/x").is_some());
        assert!(groups.find(&other, &target(5).0).is_none(), "nothing of the old settings");
        groups.note(&other, &"/".repeat(KNOWN_TARGET_BYTES_MAX + 1), &target(1).1);
        assert_eq!(groups.known.len(), 1, "a long one is not kept");
    }
}
