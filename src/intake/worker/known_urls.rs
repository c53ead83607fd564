//! The URLs that a worker met last: pushers come again and again with the same one, and then it
//! need not be taken apart again.

use super::settings::InputSettings;
use crate::limits::{KNOWN_GROUPS_MAX, KNOWN_TARGET_BYTES_MAX};
use crate::push::route::Group;
use std::sync::Arc;

/// Which input a push is for, and its labels.
#[derive(Clone, Debug)]
pub(super) struct PushTarget {
    pub(super) input: usize,
    pub(super) group: Arc<Group>,
}

/// What pushes to the last URLs were for, by the raw target of the request.
#[derive(Debug, Default)]
pub(super) struct KnownUrls {
    /// The settings that the URLs were read by: with others, nothing is known.
    settings: Option<Arc<InputSettings>>,
    known: Vec<(String, PushTarget)>,
    /// The entry that the next one replaces, once there are enough.
    next: usize,
}

impl KnownUrls {
    /// What a push with that target is for, where it is known.
    pub(super) fn find(&self, settings: &Arc<InputSettings>, target: &str) -> Option<PushTarget> {
        self.settings.as_ref().filter(|known| Arc::ptr_eq(known, settings))?;
        let (_, found) = self.known.iter().find(|(known, _)| known == target)?;
        Some(found.clone())
    }

    /// Notes what a push with that target is for. Long ones are not kept.
    pub(super) fn note(&mut self, settings: &Arc<InputSettings>, target: &str, found: &PushTarget) {
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
            Some(oldest) => *oldest = entry,
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

    fn settings() -> Arc<InputSettings> {
        let push =
            push::PushLimits { decoded_bytes_max: 1, line_bytes_max: 1 << 16, lines_bytes_max: 1 };
        Arc::new(InputSettings::new(Vec::new(), push))
    }

    fn target(number: usize) -> (String, PushTarget) {
        let job = number.to_string();
        let group = Arc::new(route::group(job.as_bytes(), &[], Names::Legacy).unwrap());
        (format!("/metrics/job/{job}"), PushTarget { input: number, group })
    }

    #[test]
    fn the_last_urls_are_known_as_long_as_the_settings_are_the_same() {
        let (first, other) = (settings(), settings());
        let mut urls = KnownUrls::default();
        for number in 0..KNOWN_GROUPS_MAX + 3 {
            let (text, found) = target(number);
            assert!(urls.find(&first, &text).is_none());
            urls.note(&first, &text, &found);
            assert_eq!(urls.find(&first, &text).map(|found| found.input), Some(number));
            assert!(urls.find(&other, &text).is_none(), "other settings");
        }
        let is_known = |number: usize| urls.find(&first, &target(number).0).is_some();
        assert!((0..3).all(|number| !is_known(number)), "the oldest made room");
        assert!((3..KNOWN_GROUPS_MAX + 3).all(is_known));
        urls.note(&other, "/x", &target(1).1);
        assert!(urls.find(&other, "/x").is_some());
        assert!(urls.find(&other, &target(5).0).is_none(), "nothing of the old settings");
        urls.note(&other, &"/".repeat(KNOWN_TARGET_BYTES_MAX + 1), &target(1).1);
        assert_eq!(urls.known.len(), 1, "a long one is not kept");
    }
}
